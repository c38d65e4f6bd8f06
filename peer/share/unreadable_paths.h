// Files and folders of the share that cannot be read, and how often that was tried.
//
// The user gets one notice when a path becomes unreadable and one when it can be read again; none
// when it is removed meanwhile. At most kSharedFiles. No I/O; only the indexer's thread. The file
// tracker adds what it loses, and schedules the retries.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "peer/share/problems.h"

namespace espalier::share {

class UnreadablePaths {
 public:
  explicit UnreadablePaths(Problems& problems) : problems_(problems) {}

  bool contains(std::string_view name) const { return attempts_.contains(name); }
  // Whether a folder above that name is one of them.
  bool containsAbove(std::string_view name) const;
  // The names for which `wanted` holds.
  std::vector<std::string> names(const std::function<bool(std::string_view)>& wanted) const;

  // Forgets the count, and returns it (0: none), but says nothing to the user.
  unsigned take(std::string_view name);
  // `reason` is told if the name is news. Nothing when there are too many; false then.
  bool put(const std::string& name, unsigned attempts, const std::string& reason);
  // It can be read.
  void solve(const std::string& name);
  // It is gone.
  void drop(const std::string& name);

 private:
  Problems& problems_;
  std::map<std::string, unsigned, std::less<>> attempts_;
};

}  // namespace espalier::share
