// The sessions of all homes at the master: each is a connection of its registry. What the registry
// sends to such a connection goes to its home, so it decides for all peers alike. home_sessions.h
// is the other side.
//
//   SessionOpened, SessionResumed --> open --SessionEnded, or the registry closes it--> gone
//                                      +----homeGone(), or the home opens it again----> gone,
//                                                                       its member is away
//
// The shell calls translate() after each event of the registry, whatever caused it; the events
// below do so by themselves. Then no effect is left for a connection of another home.
//
// Bounds: limits::kMembers sessions; one more is closed at once. Messages about sessions that are
// not open are ignored: the two sides may cross. The caller passes messages of a metaserver of the
// cluster, in their order, while it is linked, and homeGone() when it is not any more.
//
// Does no I/O. Not thread-safe: the mutex of the registry guards it, too. O(log sessions) a
// message; homeGone() O(sessions of the home).
#pragma once

#include <set>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/cluster_sessions.h"
#include "metaserver/core/effects.h"
#include "metaserver/core/registry.h"

namespace espalier::metaserver::cluster {

class RemoteSessions {
 public:
  struct ToHome {
    ServerNumber home{};
    wire::SessionAnswer message;
  };
  // To be sent in this order.
  using Messages = std::vector<ToHome>;

  // `registry` is borrowed.
  explicit RemoteSessions(Registry& registry) : registry_(registry) {}

  // --- events; what is left in `fx` is for the shell
  void received(ServerNumber home, const wire::SessionMessage& message, TimePoint now, Effects& fx,
                Messages& messages);
  // The home is dead or out of reach. What happens to its members is the registry's decision.
  void homeGone(ServerNumber home, TimePoint now, Effects& fx, Messages& messages);
  // Takes out of `fx` what is for sessions of homes.
  void translate(TimePoint now, Effects& fx, Messages& messages);

  // --- queries
  std::size_t size() const { return open_.size(); }

 private:
  bool open(ConnectionId connection, const std::string& host, TimePoint now, Effects& fx,
            Messages& messages);
  void take(ServerNumber home, const wire::SessionOpened& opened, TimePoint now, Effects& fx,
            Messages& messages);
  void take(ServerNumber home, const wire::SessionRequest& request, TimePoint now, Effects& fx,
            Messages& messages);
  void take(ServerNumber home, const wire::SessionResumed& resumed, TimePoint now, Effects& fx,
            Messages& messages);
  void take(ServerNumber home, const wire::SessionEnded& ended, TimePoint now, Effects& fx,
            Messages& messages);
  // Of no session: not for this class.
  void take(ServerNumber, const wire::SessionRoomPassed&, TimePoint, Effects&, Messages&) {}

  Registry& registry_;
  std::set<ConnectionId> open_;  // those of a home are beside each other
};

}  // namespace espalier::metaserver::cluster
