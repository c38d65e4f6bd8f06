// What an EventLoop tells of its descriptors and timers; the base of Connection, Listener and the
// loop's own watches. One timer each.
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
  friend class EventLoop;
  virtual void onEvents(std::uint32_t events) = 0;
  virtual void onTimer(TimePoint) {}
  TimePoint timer_ = kNever;  // owned by the loop
};

}  // namespace espalier::net
