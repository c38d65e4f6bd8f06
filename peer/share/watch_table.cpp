#include "peer/share/watch_table.h"

namespace espalier::share {

void WatchTable::put(std::string name, int watch) {
  byWatch_[watch].push_back(name);
  byName_.insert_or_assign(std::move(name), watch);
}

std::vector<std::string> WatchTable::namesOf(int watch) const {
  const auto found = byWatch_.find(watch);
  return found == byWatch_.end() ? std::vector<std::string>{} : found->second;
}

void WatchTable::drop(int watch) {
  const auto found = byWatch_.find(watch);
  if (found == byWatch_.end()) return;
  for (const auto& name : found->second) byName_.erase(name);
  byWatch_.erase(found);
}

WatchTable::Names::iterator WatchTable::erase(Names::iterator at, std::vector<int>& unused) {
  const auto watched = byWatch_.find(at->second);
  if (watched != byWatch_.end()) {
    std::erase(watched->second, at->first);
    if (watched->second.empty()) {
      unused.push_back(at->second);
      byWatch_.erase(watched);
    }
  }
  return byName_.erase(at);
}

std::vector<int> WatchTable::dropNames(const std::function<bool(const std::string&)>& gone) {
  std::vector<int> unused;
  for (auto at = byName_.begin(); at != byName_.end();) {
    at = gone(at->first) ? erase(at, unused) : std::next(at);
  }
  return unused;
}

std::vector<int> WatchTable::dropTree(std::string_view name) {
  std::vector<int> unused;
  if (const auto self = byName_.find(name); self != byName_.end()) erase(self, unused);
  const std::string prefix = std::string(name) + '/';
  for (auto at = byName_.lower_bound(prefix);
       at != byName_.end() && at->first.starts_with(prefix);) {
    at = erase(at, unused);
  }
  return unused;
}

}  // namespace espalier::share
