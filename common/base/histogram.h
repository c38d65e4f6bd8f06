// How long something took, counted by fixed bounds, as /metrics tells it: whoever reads it computes
// quantiles over many programs.
//
// A value. Not thread-safe. O(bounds) to add, a few hundred bytes.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "common/base/clock.h"

namespace espalier {

class Histogram {
 public:
  // Seconds. A heal and a search of a healthy network take less than one.
  static constexpr std::array kBounds{0.005, 0.01, 0.025, 0.05, 0.1,  0.25, 0.5,
                                      1.0,   2.5,  5.0,   10.0, 30.0, 60.0};

  void add(Duration took) {
    const double seconds = std::max(std::chrono::duration<double>(took).count(), 0.0);
    const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
    ++counts_[static_cast<std::size_t>(bound - kBounds.begin())];
    sum_ += seconds;
  }

  // How many took at most kBounds[bound]; of kBounds.size() all.
  std::uint64_t upTo(std::size_t bound) const {
    std::uint64_t count = 0;
    for (std::size_t i = 0; i <= std::min(bound, kBounds.size()); ++i) count += counts_[i];
    return count;
  }
  std::uint64_t count() const { return upTo(kBounds.size()); }
  double sumSeconds() const { return sum_; }

 private:
  std::array<std::uint64_t, kBounds.size() + 1> counts_{};  // the last one: longer than all bounds
  double sum_ = 0;
};

}  // namespace espalier
