// A part of a peer that communicates over the links of its tree: searches, pushes. Peer calls all
// components in the same way, through this interface.
//
//   Tree -- LinkChanges --> Membership --> Peer -- linkDown, linkUp --> each component
//
// Invariants, which Peer keeps:
//   - A link is up from linkUp() to linkDown(). Both ends have agreed on it.
//   - received() is called only for links that are up.
//   - linkUp() is not called for a link that has gone within the same step.
//   - In one step a component gets all calls of linkDown() before its first linkUp().
//   - tick() is called when deadline() has passed. Every call may change deadline().
//
// Components do no I/O and are not thread-safe. A new component is a class that implements this,
// a line in Peer::Components, and fields of Effects for what it asks of the shell
// (docs/contributing.md lists all places). A component has no connection to the metaserver: Peer
// passes on what Searches wants to know (Peer::endStep).
#pragma once

#include <cstdint>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/contact.h"
#include "common/wire/link.h"
#include "peer/core/effects.h"
#include "peer/core/link_changes.h"

namespace espalier::peer {

class Component {
 public:
  Component() = default;
  Component(const Component&) = delete;
  Component& operator=(const Component&) = delete;
  virtual ~Component() = default;

  virtual void linkUp(const TreeLink& link, TimePoint now, Effects& fx) = 0;
  virtual void linkDown(ConnectionId link, TimePoint now, Effects& fx) = 0;
  // False: the message is of another component.
  virtual bool received(ConnectionId link, const wire::LinkMessage& message, TimePoint now,
                        Effects& fx) = 0;
  virtual void tick(TimePoint now, Effects& fx) = 0;
  virtual TimePoint deadline() const = 0;

  // The number of peers that are reachable over the link, including the neighbour; 0: not known.
  virtual void peersBehind(ConnectionId, std::uint64_t) {}
  // Whether the metaserver knows the link from both ends. Until then whoever dialled may have made
  // up the neighbour's id. No link is confirmed when it comes up.
  virtual void confirmed(ConnectionId, bool) {}
  // The link's send queue is full; it is short again.
  virtual void congested(ConnectionId) {}
  virtual void drained(ConnectionId) {}
  // The metaserver admitted this peer with another order of joining.
  virtual void selfChanged(const wire::Contact&) {}
};

}  // namespace espalier::peer
