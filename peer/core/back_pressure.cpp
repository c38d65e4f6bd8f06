#include "peer/core/back_pressure.h"

namespace espalier::peer {
namespace {

using namespace std::chrono_literals;

constexpr auto kSlowed = 1s;

}  // namespace

bool BackPressure::fill(ConnectionId connection, TimePoint now) {
  const bool isFirst = full_.empty();
  full_.insert(connection);
  if (isFirst) slowedUntil_ = now + kSlowed;
  return isFirst;
}

bool BackPressure::drain(ConnectionId connection) {
  if (full_.erase(connection) == 0 || !full_.empty()) return false;
  slowedUntil_ = kNever;
  return true;
}

bool BackPressure::resumeIsDue(TimePoint now) {
  if (now < slowedUntil_) return false;
  slowedUntil_ = kNever;
  return true;
}

}  // namespace espalier::peer
