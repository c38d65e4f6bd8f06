// Which watch (a number of inotify) is of which folder of the share, by share name. A folder with
// two share names, shared itself and within another, has one watch.
//
// Invariants: a name has at most one watch; a watch has at least one name. No I/O. Only the
// indexer's thread, through TreeWatch. O(log n) a name.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace espalier::share {

class WatchTable {
 public:
  bool contains(std::string_view name) const { return byName_.contains(name); }
  std::size_t size() const { return byName_.size(); }
  void put(std::string name, int watch);
  // A copy, because the caller changes the table while it iterates.
  std::vector<std::string> namesOf(int watch) const;
  // Forgets a watch that the kernel ended.
  void drop(int watch);
  // Drops each name for which `gone` holds. Returns the watches that have no name any more.
  std::vector<int> dropNames(const std::function<bool(const std::string&)>& gone);
  // The same for a folder and what is below it.
  std::vector<int> dropTree(std::string_view name);

 private:
  using Names = std::map<std::string, int, std::less<>>;
  Names::iterator erase(Names::iterator at, std::vector<int>& unused);

  Names byName_;
  std::unordered_map<int, std::vector<std::string>> byWatch_;
};

}  // namespace espalier::share
