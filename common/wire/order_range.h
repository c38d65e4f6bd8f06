// A set of orders of joining, as it travels: ranges, ascending and disjoint. Plain values.
#pragma once

#include <compare>
#include <cstdint>

namespace espalier::wire {

// Join orders `first` to `last`, both included.
struct OrderRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  auto operator<=>(const OrderRange&) const = default;
};

}  // namespace espalier::wire
