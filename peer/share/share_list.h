// What a user shared and unshared by hand, kept over a restart in `share.json` in the state folder:
//
//   {"version": 2, "shared": ["/path/of/a/file", "/path/of/a/folder/"],
//    "hidden": ["name/in/the/share"], "unshared": ["/path/of/it"], "named": [".name"]}
//
// The '/' at the end tells a folder from a file while neither is there. Version 1 had only the
// first two lists, and no number.
//
// What is unshared is kept twice: by every share name that it had then, which a share that is moved
// takes along, and by its path, which holds for whatever else is shared above it, before or after.
// Names that begin with a dot are shared only once they are `named`, with all below them that does
// not begin with a dot itself.
//
// A value. All lists together have at most kShareListPaths entries; what is unshared counts once.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "common/base/fs.h"
#include "common/base/result.h"

namespace espalier::share {

struct ShareList {
  using Names = std::set<std::string, std::less<>>;
  std::set<std::string> shared;  // absolute
  Names hidden;                  // share names, of files or folders
  Names unshared;                // the same, as absolute paths
  Names named;                   // share names with a component that begins with a dot

  // Whether a file or folder, of that share name and path, was unshared, or is below one that was.
  bool isUnshared(std::string_view name, std::string_view path) const;
  // The same of that very file or folder only.
  bool isUnsharedItself(std::string_view name, std::string_view path) const;
  // Whether the dots in a name hide it. The first `label` bytes are of the shared folder's own
  // name.
  bool isDotHidden(std::string_view name, std::size_t label) const;
  // Whether something is named in that folder, or deeper.
  bool hasNamedBelow(std::string_view folder) const;

  bool operator==(const ShareList&) const = default;
};

// Whether `text` is `top`, or lies below it; both are names, or both are paths.
bool isAtOrBelow(std::string_view text, std::string_view top);

inline fs::path shareListIn(const fs::path& stateFolder) {
  return stateFolder / "share.json";
}

Result<void> saveShareList(const fs::path& file, const ShareList& list);
// A missing file is an empty list. An error says what is wrong with a damaged one; `configuration`
// with one of a newer version.
Result<ShareList> loadShareList(const fs::path& file);

}  // namespace espalier::share
