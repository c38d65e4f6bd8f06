// epoll(7), and the events of one round of an EventLoop.
//
// Level-triggered: a descriptor that still has bytes is reported again, so a round may stop
// anywhere. Invariant: no event reaches a source after forget() was called for it.
//
// Not thread-safe. Used by EventLoop only.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>

#include "common/base/file_descriptor.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/net/event_source.h"

namespace espalier::net {

class Poller {
 public:
  static Result<Poller> create();

  Result<void> add(int descriptor, std::uint32_t events, EventSource& source);
  Result<void> change(int descriptor, std::uint32_t events, EventSource& source);
  void remove(int descriptor);

  // Waits for at most so long (-1: for ever). Returns the number of events, at most
  // limits::kEventsPerRound.
  int wait(int milliseconds);
  // Calls each source with its events of the last wait().
  void dispatch();
  // Drops the events of `source` that dispatch() has not delivered yet.
  void forget(const EventSource& source);

 private:
  explicit Poller(int epoll) : epoll_(epoll) {}
  Result<void> control(int operation, int descriptor, std::uint32_t events, EventSource* source);

  FileDescriptor epoll_;
  std::array<epoll_event, limits::kEventsPerRound> events_{};
  int next_ = 0;  // of count_ events, the first that was not delivered yet
  int count_ = 0;
};

}  // namespace espalier::net
