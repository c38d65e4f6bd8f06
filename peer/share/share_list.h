// What a user shared and unshared by hand, kept over a restart in `share.json` in the state folder:
//
//   {"shared": ["/path/of/a/file", "/path/of/a/folder/"], "hidden": ["name/in/the/share"]}
//
// The '/' at the end tells a folder from a file while neither is there.
// A value. Both lists together have at most kShareListPaths paths.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "common/base/fs.h"
#include "common/base/result.h"

namespace espalier::share {

struct ShareList {
  std::set<std::string> shared;               // absolute
  std::set<std::string, std::less<>> hidden;  // share names, of files or folders

  bool operator==(const ShareList&) const = default;
};

Result<void> saveShareList(const fs::path& file, const ShareList& list);
// A missing file is an empty list. An error says what is wrong with a damaged one.
Result<ShareList> loadShareList(const fs::path& file);

}  // namespace espalier::share
