#include "peer/transfer/push_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <span>
#include <utility>

#include "common/base/fs.h"
#include "common/base/limits.h"
#include "common/base/state_folder.h"
#include "common/base/text.h"
#include "peer/core/push_chunks.h"
#include "peer/share/hash_file.h"
#include "peer/share/share_name.h"
#include "peer/share/shared_file.h"

namespace espalier::transfer {
namespace {

struct Found {
  std::string path;
  std::string name;
  std::uint64_t size = 0;
};

Error tooMany() {
  return {ErrorCode::usage, fmt::format("more than {} files in one push: push them as an archive, "
                                        "or in parts",
                                        limits::kPushFiles)};
}

Result<void> addFile(const fs::path& path, const std::string& name, std::vector<Found>& found) {
  if (found.size() >= limits::kPushFiles) return tooMany();
  // The rules that receivers have for names.
  const auto cannot = [&](std::string_view why) {
    return Error{ErrorCode::failed, fmt::format("cannot push {}: {}", escaped(path.string()), why)};
  };
  if (const auto fault = share::nameFault(name); fault != share::NameFault::none) {
    return cannot(fmt::format("its name {}", share::described(fault)));
  }
  if (share::hasDotName(name)) {
    return cannot("no peer takes a name that begins with a dot from a push");
  }
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return systemError(fmt::format("cannot push {}", escaped(path.string())), errno);
  }
  found.push_back({path.string(), name, static_cast<std::uint64_t>(status.st_size)});
  return {};
}

Result<void> addFolder(const fs::path& folder, const std::string& name, std::vector<Found>& found) {
  boost::system::error_code failed;
  fs::recursive_directory_iterator entry(folder, failed);
  std::vector<std::pair<std::string, fs::path>> files;
  for (; !failed && entry != fs::recursive_directory_iterator(); entry.increment(failed)) {
    const auto type = entry->symlink_status(failed).type();
    const bool own =
        share::componentFault(entry->path().filename().string()) == share::NameFault::own;
    if (own || (type == fs::directory_file && isStateFolder(entry->path().string()))) {
      entry.disable_recursion_pending();
      continue;
    }
    if (type != fs::regular_file) continue;
    if (files.size() >= limits::kPushFiles) return tooMany();
    files.emplace_back(name + "/" + fs::relative(entry->path(), folder).generic_string(),
                       entry->path());
  }
  if (failed) {
    return systemError(fmt::format("cannot read {}", escaped(folder.string())), failed.value());
  }
  std::sort(files.begin(), files.end());
  for (const auto& [fileName, path] : files) {
    if (auto added = addFile(path, fileName, found); !added) return added;
  }
  return {};
}

Result<std::vector<Found>> collect(const std::vector<PushPath>& paths) {
  std::vector<Found> found;
  std::set<std::string> names;
  for (const auto& [given, called] : paths) {
    boost::system::error_code failed;
    const fs::path path = fs::canonical(given, failed);
    if (failed) {
      return systemError(fmt::format("cannot push {}", escaped(given)), failed.value());
    }
    const std::string name = called.empty() ? path.filename().string() : called;
    const auto type = fs::status(path, failed).type();
    Result<void> added;
    if (type == fs::directory_file) {
      added = addFolder(path, name, found);
    } else if (type == fs::regular_file) {
      added = addFile(path, name, found);
    } else {
      return Error{ErrorCode::failed,
                   fmt::format("{} is neither a file nor a folder", escaped(given))};
    }
    if (!added) return added.error();
  }
  for (const auto& file : found) {
    if (names.insert(file.name).second) continue;
    return Error{ErrorCode::usage, fmt::format("two files would be called {}", escaped(file.name))};
  }
  if (found.empty()) return Error{ErrorCode::failed, "there is no file to push"};
  return found;
}

}  // namespace

Result<OpenedPush> openPushed(const std::string& path, std::uint64_t size, std::stop_token stop,
                              const HashedBytes& hashed) {
  const auto cannot = [&](int error) {
    return systemError(fmt::format("cannot read {}", escaped(path)), error);
  };
  OpenedPush opened;
  opened.file = FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!opened.file) return cannot(errno);
  struct stat before {};
  if (::fstat(opened.file.get(), &before) != 0) return cannot(errno);
  const Error changed{ErrorCode::failed, fmt::format("{} changes while it is read", escaped(path))};
  if (!S_ISREG(before.st_mode) || static_cast<std::uint64_t>(before.st_size) != size) {
    return changed;
  }
  auto hashes =
      share::hashFile(opened.file.get(), path, size, peer::pushChunkBytesFor(size), stop, hashed);
  if (!hashes && hashes.error().code == ErrorCode::failed) return changed;
  if (!hashes) return hashes.error();
  struct stat after {};
  if (::fstat(opened.file.get(), &after) != 0) return cannot(errno);
  if (share::fileStat(before) != share::fileStat(after)) return changed;
  opened.plan = {hashes->root, size, hashes->chunkBytes, std::move(hashes->chunks)};
  return opened;
}

Result<PreparedPush> preparePush(const std::vector<PushPath>& paths, std::stop_token stop,
                                 const HashedBytes& hashed) {
  const auto found = collect(paths);
  if (!found) return found.error();
  PreparedPush prepared;
  for (const auto& file : *found) {
    auto opened = openPushed(file.path, file.size, stop, [&](std::uint64_t bytes) {
      if (hashed) hashed(prepared.bytes + bytes);
    });
    if (!opened) return opened.error();
    prepared.files.push_back({file.name, file.size, opened->plan.root});
    auto pushed = std::make_shared<PartialFile>(opened->plan.root, file.size, file.name);
    pushed->begin(std::move(opened->plan), std::move(opened->file));
    pushed->finish();
    prepared.opened.push_back(std::move(pushed));
    prepared.bytes += file.size;
  }
  return prepared;
}

}  // namespace espalier::transfer
