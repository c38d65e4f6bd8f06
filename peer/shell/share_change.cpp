#include "peer/shell/share_change.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <utility>

#include "common/base/limits.h"
#include "common/base/state_folder.h"
#include "common/base/text.h"

namespace espalier::peer::shell {
namespace {

// The kind of an entry that is neither a file nor a folder.
const char* specialName(mode_t mode) {
  if (S_ISLNK(mode)) return "a symbolic link";
  if (S_ISFIFO(mode)) return "a named pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

class Walk {
 public:
  // `top`: the path that was shared. Its own name may be hidden, since the user typed it.
  Walk(const share::Snapshot& snapshot, const fs::path& top, bool published)
      : below_(top), published_(published) {
    for (const auto& entry : snapshot.entries()) {
      shared_.emplace(entry->stat.device, entry->stat.inode);
    }
  }

  void look(const fs::path& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return;  // it was removed meanwhile
    const std::string leaf = path.filename().string();
    if (S_ISDIR(status.st_mode)) {
      if (::access(path.c_str(), R_OK | X_OK) != 0) leave("cannot be read", path);
    } else if (!S_ISREG(status.st_mode)) {
      leave(fmt::format("is {}", specialName(status.st_mode)), path);
    } else if (shared_.contains({status.st_dev, status.st_ino})) {
      ++change_.files;
    } else if (hasDot(path.native().substr(std::min(below_.size(), path.size())))) {
      leave("begins with a dot, or is in a folder that does", path);
    } else if (!isUtf8(path.native())) {
      leave("has a name that is not UTF-8", path);
    } else if (::access(path.c_str(), R_OK) != 0) {
      leave("cannot be read", path);
    } else if (leaf.size() > limits::kNameBytes || path.native().size() > limits::kPathBytes) {
      leave("has too long a path", path);
    } else if (published_) {
      leave("is unshared, hidden, or changes all the time", path);
    }
  }

  void leave(const std::string& why, const fs::path& path) {
    auto& [count, example] = left_[why];
    if (count++ == 0) example = path.string();
  }

  ShareChange result() {
    for (auto& [why, left] : left_) change_.left.push_back({why, left.first, left.second});
    return std::move(change_);
  }

 private:
  static bool hasDot(const std::string& below) { return below.find("/.") != below.npos; }

  const fs::path below_;
  const bool published_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> shared_;  // device and inode
  ShareChange change_;
  std::map<std::string, std::pair<std::uint64_t, std::string>> left_;
};

std::uint64_t sharedBelow(const share::Snapshot& snapshot, const std::string& name) {
  std::uint64_t count = snapshot.find(name) != nullptr ? 1 : 0;
  const auto& entries = snapshot.entries();
  const std::string prefix = name + '/';
  for (auto i = snapshot.lowerBound(prefix);
       i < entries.size() && entries[i]->name.starts_with(prefix); ++i) {
    ++count;
  }
  return count;
}

}  // namespace

Result<ShareChange> shareChange(const std::string& path, const share::Snapshot& snapshot,
                                bool published, const std::stop_token& stop) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    return ShareChange{path, sharedBelow(snapshot, path), !published, {}};
  }
  Walk walk(snapshot, path, published);
  if (!S_ISDIR(status.st_mode)) {
    walk.look(path);
  } else {
    boost::system::error_code failed;
    fs::recursive_directory_iterator entry(path, fs::directory_options::skip_permission_denied,
                                           failed);
    for (; !failed && entry != fs::recursive_directory_iterator(); entry.increment(failed)) {
      if (stop.stop_requested()) break;
      const auto& found = entry->path();
      if (fs::is_directory(entry->symlink_status(failed)) && isStateFolder(found.string())) {
        entry.disable_recursion_pending();
        continue;
      }
      walk.look(found);
    }
    if (failed) walk.leave("cannot be read: " + failed.message(), path);
  }
  auto change = walk.result();
  change.path = path;
  change.indexing = !published;
  if (published && change.files == 0 && !change.left.empty()) {
    const auto& first = change.left.front();
    return Error{ErrorCode::failed, fmt::format("nothing of {} can be shared: {} {}", escaped(path),
                                                escaped(first.example), first.why)};
  }
  return change;
}

}  // namespace espalier::peer::shell
