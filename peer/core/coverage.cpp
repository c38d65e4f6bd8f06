#include "peer/core/coverage.h"

#include <algorithm>

#include "common/base/limits.h"

namespace espalier::peer {
namespace {

std::uint64_t count(const wire::OrderRange& range) {
  return range.last - range.first + 1;
}

}  // namespace

bool Coverage::isPlausible(const wire::OrderRange& range) {
  return range.first >= 1 && range.first <= range.last && range.last <= limits::kJoinOrder &&
         range.last - range.first < limits::kMembers;
}

std::uint64_t Coverage::add(JoinOrder order) {
  return add(wire::OrderRange{number(order), number(order)});
}

std::uint64_t Coverage::add(const wire::OrderRange& range) {
  if (!isPlausible(range)) return 0;
  // From the first range that touches or overlaps to the first one after it that does not.
  const auto begin = std::lower_bound(
      ranges_.begin(), ranges_.end(), range.first,
      [](const wire::OrderRange& have, std::uint64_t first) { return have.last + 1 < first; });
  auto end = begin;
  wire::OrderRange merged = range;
  std::uint64_t had = 0;
  for (; end != ranges_.end() && end->first <= range.last + 1; ++end) {
    merged.first = std::min(merged.first, end->first);
    merged.last = std::max(merged.last, end->last);
    had += count(*end);
  }
  const auto gained = count(merged) - had;
  if (gained == 0) return 0;
  if (size_ + gained > limits::kMembers) return 0;
  if (begin == end) {
    if (ranges_.size() >= limits::kCoverageRangesKept) return 0;
    ranges_.insert(begin, merged);
  } else {
    *begin = merged;
    ranges_.erase(begin + 1, end);
  }
  size_ += gained;
  return gained;
}

std::uint64_t Coverage::add(const Coverage& other) {
  std::uint64_t gained = 0;
  for (const auto& range : other.ranges_) gained += add(range);
  return gained;
}

// The range with this order, or the end.
auto Coverage::find(JoinOrder order) const -> Ranges::const_iterator {
  const auto found = std::lower_bound(
      ranges_.begin(), ranges_.end(), number(order),
      [](const wire::OrderRange& have, std::uint64_t wanted) { return have.last < wanted; });
  return found != ranges_.end() && found->first <= number(order) ? found : ranges_.end();
}

std::uint64_t Coverage::sizeUpTo(JoinOrder most) const {
  std::uint64_t total = 0;
  for (const auto& range : ranges_) {
    if (range.first > number(most)) break;
    total += std::min(range.last, number(most)) - range.first + 1;
  }
  return total;
}

std::uint64_t Coverage::sizeWithin(const Coverage& other) const {
  std::uint64_t total = 0;
  auto there = other.ranges_.begin();
  for (const auto& range : ranges_) {
    while (there != other.ranges_.end() && there->last < range.first) ++there;
    for (auto one = there; one != other.ranges_.end() && one->first <= range.last; ++one) {
      total += std::min(one->last, range.last) - std::max(one->first, range.first) + 1;
    }
  }
  return total;
}

std::uint64_t Coverage::sizeBeyond(const Coverage& known, JoinOrder newest) const {
  const Coverage rest = minus(known);
  const JoinOrder last{number(newest) | ((std::uint64_t{1} << kRunningBits) - 1)};
  return rest.size() - (rest.sizeUpTo(last) - rest.sizeUpTo(newest));
}

void Coverage::clear() {
  ranges_.clear();
  size_ = 0;
}

Coverage Coverage::minus(const Coverage& other) const {
  Coverage result;
  auto taken = other.ranges_.begin();
  for (auto range : ranges_) {
    while (taken != other.ranges_.end() && taken->last < range.first) ++taken;
    // `taken` stays: a range of `other` that ends beyond this range may also cut the next one.
    for (auto cut = taken; cut != other.ranges_.end() && cut->first <= range.last; ++cut) {
      if (cut->first > range.first) result.add({range.first, cut->first - 1});
      range.first = cut->last + 1;
      if (range.first > range.last) break;
    }
    if (range.first <= range.last) result.add(range);
  }
  return result;
}

Coverage Coverage::lowest(std::uint64_t most) const {
  Coverage result;
  for (const auto& range : ranges_) {
    const auto left = most - result.size_;
    if (left == 0) break;
    const auto taken = std::min(count(range), left);
    result.ranges_.push_back({range.first, range.first + taken - 1});
    result.size_ += taken;
  }
  return result;
}

void Coverage::remove(JoinOrder order) {
  const auto found = find(order);
  if (found == ranges_.end()) return;
  auto& range = ranges_[static_cast<std::size_t>(found - ranges_.begin())];
  --size_;
  if (range.first == range.last) {
    ranges_.erase(found);
  } else if (range.first == number(order)) {
    ++range.first;
  } else {
    const wire::OrderRange above{number(order) + 1, range.last};
    range.last = number(order) - 1;
    size_ -= count(above);
    if (above.first <= above.last) add(above);
  }
}

}  // namespace espalier::peer
