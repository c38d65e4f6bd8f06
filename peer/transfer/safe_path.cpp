#include "peer/transfer/safe_path.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/base/state_folder.h"
#include "common/base/text.h"
#include "peer/share/share_name.h"

namespace espalier::transfer {
namespace {

constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

Error unusable(std::string_view name, std::string_view why) {
  constexpr std::size_t kShown = 200;
  return {ErrorCode::failed, fmt::format("\"{}\" is no name to save a file under: {}; -o PATH "
                                         "saves it elsewhere",
                                         escaped(name.substr(0, kShown)), why)};
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

Error stateError(std::span<const std::string> folders) {
  const std::string name = folders.empty() ? "the folder to save in" : escaped(joined(folders));
  return {ErrorCode::failed, name +
                                 " is the state folder of a peer or metaserver: nothing is "
                                 "saved in it"};
}

Result<FileDescriptor> copyOf(int base) {
  FileDescriptor same(::fcntl(base, F_DUPFD_CLOEXEC, 0));
  if (!same) return systemError("cannot open a folder again", errno);
  return same;
}

// One component at a time: none is "..", and each is opened without following a link.
Result<FileDescriptor> descend(int base, std::span<const std::string> folders, bool create,
                               bool mayBeState) {
  const auto refusesState = [&](int folder) { return !mayBeState && isStateFolder(folder); };
  if (refusesState(base)) return stateError(folders);
  if (folders.empty()) return copyOf(base);
  FileDescriptor folder;
  int from = base;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    const char* part = folders[i].c_str();
    FileDescriptor below(::openat(from, part, kFolderFlags));
    if (!below && errno == ENOENT && create) {
      if (::mkdirat(from, part, 0777) != 0 && errno != EEXIST) {
        return folderError(folders.first(i + 1), errno);
      }
      below = FileDescriptor(::openat(from, part, kFolderFlags));
    }
    if (!below) return folderError(folders.first(i + 1), errno);
    if (refusesState(below.get())) return stateError(folders.first(i + 1));
    folder = std::move(below);
    from = folder.get();
  }
  return folder;
}

}  // namespace

DotNames DotNames::typed(std::string_view text) {
  std::set<std::string, std::less<>> names;
  share::allComponents(text, [&](std::string_view component) {
    if (share::isDotName(component)) names.emplace(component);
    return true;
  });
  return DotNames(false, std::move(names));
}

bool DotNames::allows(std::string_view component) const {
  return all_ || !share::isDotName(component) || typed_.contains(component);
}

Result<SafeName> SafeName::parse(std::string_view name, const DotNames& dots) {
  if (const auto fault = share::nameFault(name); fault != share::NameFault::none) {
    return unusable(name, fmt::format("it {}", share::described(fault)));
  }
  std::vector<std::string> parts;
  const bool allowed = share::allComponents(name, [&](std::string_view component) {
    parts.emplace_back(component);
    return dots.allows(component);
  });
  if (!allowed) {
    return unusable(name, fmt::format("\"{}\" begins with a dot, and nobody asked for it by that "
                                      "name",
                                      escaped(parts.back())));
  }
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
  return descend(base, folders, create, false);
}

Result<FileDescriptor> openFolderInState(int state, std::span<const std::string> folders) {
  return descend(state, folders, true, true);
}

}  // namespace espalier::transfer
