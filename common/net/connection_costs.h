// Charges to the budget what the connections of an EventLoop cost, and closes some of them when a
// bound is reached:
//
//   Held::guests         an accepted connection on which no member was admitted yet
//   Held::queuedBytes    what was unsent at the end of the last round
//   Held::receivedBytes  the buffer of what has arrived and was not delivered: incomplete frames,
//                        and frames that wait for their turn, for the reader of their answers,
//                        or until the owner goes on reading. Not of a link that the owner has
//                        paused: there are few, and they are slowed down by design
//
// When a payer's bound is reached, one of the payer's connections is closed: of guests the oldest,
// of the others the one that holds most. When the process's bound is reached, the payer that holds
// most loses a connection in the same way. So a guest that was accepted later takes the place of an
// older one, and a connection is never closed for what other payers hold.
//
// Once a second, while anything was received: closes connections whose frame is not complete
// limits::kFrameTimeout after it began, and gives back what is not held any more. (So a connection
// that receives large frames all the time is charged once, not in each round.)
//
// Owned by EventLoop. Thread rule: the loop's thread only. Cost: O(log n) for a connection that
// holds something, O(1) for others.
#pragma once

#include <cstdint>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/net/event_source.h"
#include "common/net/shares.h"

namespace espalier::net {

class EventLoop;
class FramedConnection;

class ConnectionCosts final : private EventSource {
 public:
  // What was charged for one connection.
  struct Charges {
    std::uint32_t guest = 0;  // 1 while it is one
    std::uint32_t queuedBytes = 0;
    std::uint32_t receivedBytes = 0;
  };

  explicit ConnectionCosts(EventLoop& loop) : loop_(loop) {}

  // These return false if the connection itself was closed.
  bool chargeGuest(FramedConnection& connection);
  bool chargeQueue(FramedConnection& connection);
  bool chargeReceived(FramedConnection& connection);
  // The connection is open, and this member pays for it from now on.
  void admit(FramedConnection& connection, Account member);
  // The connection is closed or detached.
  void release(FramedConnection& connection);

  // Makes room for another connection: closes the oldest guest of the payer that has most. False:
  // there is none that is older than a second.
  bool closeOldestGuest();

 private:
  struct Resource {
    limits::Held what;
    Shares& shares;
    std::uint32_t& charged;  // of the connection
  };

  void onEvents(std::uint32_t) override {}
  void onTimer(TimePoint now) override;
  bool charge(FramedConnection& connection, Resource resource, std::uint32_t amount,
              std::uint64_t rank);
  static std::uint32_t receivedBy(const FramedConnection& connection);
  void closeLoser(FramedConnection& loser, limits::Held what);

  EventLoop& loop_;
  Shares guests_;
  Shares queued_;
  Shares received_;
};

}  // namespace espalier::net
