#include "peer/transfer/safe_path.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::transfer {
namespace {

constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

Error unusable(std::string_view name, std::string_view why) {
  constexpr std::size_t kShown = 200;
  return {ErrorCode::failed, fmt::format("\"{}\" is no name to save a file under: {}; -o PATH "
                                         "saves it elsewhere",
                                         escaped(name.substr(0, kShown)), why)};
}

bool isStateFolder(std::string_view component) {
  return std::equal(component.begin(), component.end(), kStateFolderName.begin(),
                    kStateFolderName.end(), [](char a, char b) {
                      return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
                    });
}

// Why a component cannot be used; empty if it can.
std::string_view fault(std::string_view component) {
  if (component.empty()) return "it has an empty part";
  if (component == "." || component == "..") return "it has a part \".\" or \"..\"";
  if (component.size() > limits::kNameBytes) return "a part of it is too long";
  if (isStateFolder(component)) return "\".espalier\" is the peer's own folder";
  return {};
}

// Control characters, invalid UTF-8 and bidirectional controls are what escaped() changes, besides
// the backslash.
bool isPlain(std::string_view name) {
  std::string without(name);
  // Not erased: the bytes around one would become neighbours, and a character that is none there.
  std::replace(without.begin(), without.end(), '\\', '_');
  return escaped(without) == without;
}

std::string joined(std::span<const std::string> parts) {
  return fmt::format("{}", fmt::join(parts, "/"));
}

Error folderError(std::span<const std::string> folders, int error) {
  if (error == ELOOP || error == ENOTDIR) {
    return {ErrorCode::failed,
            fmt::format("{} is a symbolic link or no folder: nothing is saved behind it",
                        escaped(joined(folders)))};
  }
  return systemError(fmt::format("cannot open the folder {}", escaped(joined(folders))), error);
}

// The whole path with one call, where the kernel has it (Linux 5.6) and all folders are there.
int openAtOnce(int base, std::span<const std::string> folders) {
  open_how how{};
  how.flags = kFolderFlags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, base, joined(folders).c_str(), &how, sizeof how));
}

}  // namespace

Result<SafeName> SafeName::parse(std::string_view name) {
  if (name.empty()) return unusable(name, "it is empty");
  if (name.size() > limits::kPathBytes) return unusable(name, "it is too long");
  if (name.front() == '/') return unusable(name, "it is an absolute path");
  if (!isPlain(name)) return unusable(name, "it has control characters or is no UTF-8");
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const auto component = name.substr(begin, end - begin);
    if (const auto why = fault(component); !why.empty()) return unusable(name, why);
    parts.emplace_back(component);
    begin = end + 1;
  }
  if (parts.size() > limits::kPathDepth) return unusable(name, "it has too many folders");
  return SafeName(std::move(parts));
}

std::string SafeName::text() const {
  return joined(parts_);
}

Result<FileDescriptor> openFolder(const std::string& path) {
  FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return systemError(fmt::format("cannot open the folder {}", escaped(path)), errno);
  return folder;
}

Result<FileDescriptor> openFolderBeneath(int base, std::span<const std::string> folders,
                                         bool create) {
  if (folders.empty()) {
    FileDescriptor same(::fcntl(base, F_DUPFD_CLOEXEC, 0));
    if (!same) return systemError("cannot open a folder again", errno);
    return same;
  }
  FileDescriptor folder(openAtOnce(base, folders));
  if (folder) return folder;
  if (errno == ELOOP || errno == ENOTDIR) return folderError(folders, errno);
  // One component at a time is as safe: none is "..", and each is opened without following a link.
  int from = base;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    const char* part = folders[i].c_str();
    if (create && ::mkdirat(from, part, 0777) != 0 && errno != EEXIST) {
      return folderError(folders.first(i + 1), errno);
    }
    FileDescriptor below(::openat(from, part, kFolderFlags));
    if (!below) return folderError(folders.first(i + 1), errno);
    folder = std::move(below);
    from = folder.get();
  }
  return folder;
}

}  // namespace espalier::transfer
