// A timer on the event loop of a peer. Network::add() registers it.
//
// Thread rule: called on the loop's thread; no function blocks.
#pragma once

#include "common/base/clock.h"

namespace espalier::peer::shell {

class LoopTimer {
 public:
  virtual ~LoopTimer() = default;
  // kNever: not due until another event changes that.
  virtual TimePoint deadline() const = 0;
  virtual void tick(TimePoint now) = 0;  // when the deadline has passed
};

}  // namespace espalier::peer::shell
