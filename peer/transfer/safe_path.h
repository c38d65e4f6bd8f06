// A name from the network becomes a path below a folder of ours, or an error. Nothing that another
// peer calls its files leads out of that folder, onto its `.espalier`, or through a symbolic link,
// wherever that points.
//
//   auto name = SafeName::parse("docs/f3.txt");
//   auto folder = openFolderBeneath(downloads, name->folders(), true);   // made where missing
//   ... openat(folder->get(), name->leaf().c_str(), O_NOFOLLOW …) ...
//
// Thread-safe (no state). Errors: `failed` for a name that cannot be used, `io` for the disk.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/file_descriptor.h"
#include "common/base/result.h"

namespace espalier::transfer {

// The folder that a peer keeps its own things in; never shared, listed or written by request.
inline constexpr std::string_view kStateFolderName = ".espalier";

// One or more components, each 1 to 255 bytes of UTF-8 without control characters, none of them
// ".", ".." or ".espalier" (in any case: some file systems ignore it); at most limits::kPathBytes
// and limits::kPathDepth in all.
class SafeName {
 public:
  static Result<SafeName> parse(std::string_view name);

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
// A folder below `base`, no component of which is a symbolic link. With `create`, what is missing
// is made (mode 0777 less the umask).
Result<FileDescriptor> openFolderBeneath(int base, std::span<const std::string> folders,
                                         bool create);

}  // namespace espalier::transfer
