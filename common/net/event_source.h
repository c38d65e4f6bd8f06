// The interface by which an EventLoop reports events: the base of FramedConnection, Listener and
// the loop's own watches. Each source has at most one descriptor in the Poller and one timer in
// Timers. On the loop's thread only.
#pragma once

#include <cstdint>

#include "common/base/clock.h"

namespace espalier::net {

class EventSource {
 public:
  EventSource() = default;
  EventSource(const EventSource&) = delete;
  EventSource& operator=(const EventSource&) = delete;
  virtual ~EventSource() = default;

 private:
  friend class Poller;
  friend class Timers;
  virtual void onEvents(std::uint32_t events) = 0;
  virtual void onTimer(TimePoint) {}
  TimePoint timer_ = kNever;  // owned by Timers
};

}  // namespace espalier::net
