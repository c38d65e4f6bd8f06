// What the user shared and unshared by hand, kept over a restart in `share.json` of the state
// folder:
//
//   {"version": 2, "shared": ["/path/of/a/file", "/path/of/a/folder/"],
//    "hidden": ["name/in/the/share"], "unshared": ["/path/of/it"], "named": [".name"]}
//
// A '/' at the end marks a folder, so that the two can be told apart while they are absent. Version
// 1 had only the first two lists, and no number.
//
// An unshared file or folder is kept twice. Its share names (`hidden`) still apply when the whole
// share is moved. Its path (`unshared`) applies to any folder above it that is shared, before or
// after. A name that begins with a dot is shared only if it is `named`; so is everything below it,
// but for names that begin with a dot themselves.
//
// A value. Invariant: all lists together have at most kShareListPaths entries, where an unshared
// path counts once. Saving and loading block on the disk. Kept by ShareRules, changed by
// ShareEditor.
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
  Names hidden;                  // share names of files and folders that are unshared
  Names unshared;                // their absolute paths
  Names named;                   // share names with a component that begins with a dot

  // Whether a file or folder of that share name and path, or a folder above it, is unshared.
  bool isUnshared(std::string_view name, std::string_view path) const;
  // The same without the folders above it.
  bool isUnsharedItself(std::string_view name, std::string_view path) const;
  // Whether a dot in a name hides it. The first `labelBytes` of the name are the shared folder's
  // label, in which dots hide nothing.
  bool isDotHidden(std::string_view name, std::size_t labelBytes) const;
  // Whether a name below that folder is `named`.
  bool hasNamedBelow(std::string_view folder) const;

  bool operator==(const ShareList&) const = default;
};

// Whether `text` is `top`, or lies below it. Both are names, or both are paths.
bool isAtOrBelow(std::string_view text, std::string_view top);

inline fs::path shareListIn(const fs::path& stateFolder) {
  return stateFolder / "share.json";
}

// Replaces the file, and syncs it. An error of code `usage` if the list is too long.
Result<void> saveShareList(const fs::path& file, const ShareList& list);
// A missing file is an empty list. Errors: `io` for a damaged file; `configuration` for one of a
// newer version.
Result<ShareList> loadShareList(const fs::path& file);

}  // namespace espalier::share
