// How long the share waits before it tries a file or folder again: 100 ms after the first failure,
// doubling to 30 s. Without randomness: the retries are of one machine's disk.
#pragma once

#include <algorithm>
#include <chrono>

#include "common/base/clock.h"

namespace espalier::share {

inline constexpr std::chrono::milliseconds kRetryFirst{100};
inline constexpr std::chrono::seconds kRetryLast{30};

// `attempts`: how many have failed, at least 1.
inline Duration retryDelay(unsigned attempts) {
  const Duration doubled = kRetryFirst * (1u << std::min(attempts - 1, 10u));
  return std::min<Duration>(doubled, kRetryLast);
}

}  // namespace espalier::share
