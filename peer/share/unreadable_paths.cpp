#include "peer/share/unreadable_paths.h"

#include "common/base/limits.h"

namespace espalier::share {

bool UnreadablePaths::containsAbove(std::string_view name) const {
  for (std::size_t end = name.find('/'); end != name.npos; end = name.find('/', end + 1)) {
    if (attempts_.contains(name.substr(0, end))) return true;
  }
  return false;
}

std::vector<std::string> UnreadablePaths::names(
    const std::function<bool(std::string_view)>& wanted) const {
  std::vector<std::string> names;
  for (const auto& [name, attempts] : attempts_) {
    if (wanted(name)) names.push_back(name);
  }
  return names;
}

unsigned UnreadablePaths::take(std::string_view name) {
  const auto known = attempts_.find(name);
  if (known == attempts_.end()) return 0;
  const unsigned attempts = known->second;
  attempts_.erase(known);
  return attempts;
}

bool UnreadablePaths::put(const std::string& name, unsigned attempts, const std::string& reason) {
  if (attempts_.size() >= limits::kSharedFiles) return false;
  attempts_.insert_or_assign(name, attempts);
  problems_.add(Problem::unreadable, name, reason);
  return true;
}

void UnreadablePaths::solve(const std::string& name) {
  if (take(name) > 0) problems_.solve(Problem::unreadable, name);
}

void UnreadablePaths::drop(const std::string& name) {
  if (take(name) > 0) problems_.drop(Problem::unreadable, name);
}

}  // namespace espalier::share
