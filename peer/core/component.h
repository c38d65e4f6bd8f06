// A part of a peer that lives on the links of its tree: searches, pushes. What a component is told
// is the same for all, so that Peer ties them in by a list.
//
//   Tree -- LinkChanges --> Membership --> Peer -- linkDown, linkUp --> each component
//
// Rules that Peer keeps: a link is up between linkUp() and linkDown(), both ends having agreed on
// it; received() is called for links that are up only; linkUp() is not called for a link that has
// gone within the same step; in one step all linkDown() come before the first linkUp(). Each call
// may move deadline(); tick() is called when it has passed.
//
// Components do no I/O and are not thread-safe. A new component is a class that implements this,
// a line in Peer::Components, and fields of Effects for what it asks of the shell.
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

  // How many peers are reachable over the link, the neighbour included; 0: not known.
  virtual void peersBehind(ConnectionId, std::uint64_t) {}
  // The link's queue is full, and short again.
  virtual void congested(ConnectionId) {}
  virtual void drained(ConnectionId) {}
  // The metaserver admitted this peer with another order of joining.
  virtual void selfChanged(const wire::Contact&) {}
};

}  // namespace espalier::peer
