// Turns a name from the network into a path below a folder of this peer, or an error. No name leads
// out of that folder, into the state folder of any peer or metaserver, or through a symbolic link,
// wherever that points.
//
//   auto name = SafeName::parse("docs/f3.txt", DotNames::none());
//   auto folder = openFolderBeneath(downloads, name->folders(), true);   // made where missing
//   ... openat(folder->get(), name->leaf().c_str(), O_NOFOLLOW …) ...
//
// Used for every name under which a fetched or pushed file is saved. Thread-safe (no state).
// Errors: `failed` for a name that cannot be used, `io` for the disk.
#pragma once

#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/file_descriptor.h"
#include "common/base/result.h"

namespace espalier::transfer {

// Which names that begin with a dot may be written: only those that the user typed, because files
// such as `.profile` or `.ssh` change what programs do. A value.
class DotNames {
 public:
  static DotNames none() { return DotNames(false, {}); }
  static DotNames all() { return DotNames(true, {}); }
  // The components of what the user asked for: a name, a folder, a glob.
  static DotNames typed(std::string_view text);

  bool allows(std::string_view component) const;

 private:
  DotNames(bool all, std::set<std::string, std::less<>> typed)
      : all_(all), typed_(std::move(typed)) {}
  bool all_;
  std::set<std::string, std::less<>> typed_;
};

// A name that a shared file can have (share_name.h). No component begins with a dot, unless it is
// allowed.
class SafeName {
 public:
  static Result<SafeName> parse(std::string_view name, const DotNames& dots);

  std::span<const std::string> folders() const {
    return std::span(parts_).first(parts_.size() - 1);
  }
  const std::string& leaf() const { return parts_.back(); }
  std::string text() const;

 private:
  explicit SafeName(std::vector<std::string> parts) : parts_(std::move(parts)) {}
  std::vector<std::string> parts_;
};

// The folder `path` (a user's: links in it are followed).
Result<FileDescriptor> openFolder(const std::string& path);
// A folder below `base`, no component of which is a symbolic link or a state folder, nor `base` a
// state folder. With `create`, what is missing is made (mode 0777 less the umask).
Result<FileDescriptor> openFolderBeneath(int base, std::span<const std::string> folders,
                                         bool create);
// The same within a state folder of our own.
Result<FileDescriptor> openFolderInState(int state, std::span<const std::string> folders);

}  // namespace espalier::transfer
