// Which watch stands for which folder of the share, by share name. A folder that is reachable under
// two names (shared itself, and within another) has one watch and two names.
//
// Invariant: a name has at most one watch, a watch at least one name. One thread's.
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
  // A copy: the caller changes the table while it goes through them.
  std::vector<std::string> namesOf(int watch) const;
  // The kernel ended it.
  void drop(int watch);
  // Drops each name for which `gone` holds; returns the watches that nobody needs any more.
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
