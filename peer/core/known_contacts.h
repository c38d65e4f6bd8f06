// The peers that this peer could turn to when its whole neighbourhood is gone.
//
// Two lists, each bounded by limits::kKnownContacts and ordered most recent first:
//   first hand   peers that were linked to this one, or were named by the metaserver
//   hearsay      peers that other peers told of
//
// Invariants: what other peers tell never displaces a contact known at first hand; this peer itself
// is in neither list; a contact (id and endpoint) is in one list at most. A peer that was started
// again has another endpoint: both its contacts are kept, because a stale one must not hide the
// right one.
//
// exchange() spreads contacts through the tree while there is no metaserver. It makes sure that two
// parts of a tree know members of each other before all peers that connect them die at once.
//
// Owned by Membership. Does no I/O, not thread-safe. A call costs O(limits::kKnownContacts).
#pragma once

#include <deque>
#include <vector>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/wire/contact.h"
#include "peer/core/effects.h"
#include "peer/core/tree.h"

namespace espalier::peer {

class KnownContacts {
 public:
  explicit KnownContacts(PeerId self) : self_(std::move(self)) {}

  // Adds at first hand.
  void remember(const wire::Contact& contact);
  // Adds as hearsay, unless the contact is known at first hand.
  void heardOf(const wire::Contact& contact);
  // Adds what the parent said of the tree above, as hearsay.
  void heardOfAbove(const Tree& tree);
  // Removes every contact of that peer.
  void forget(const PeerId& id);

  // First hand, then hearsay.
  std::vector<wire::Contact> all() const;

  // Now and then tells the peers above of one contact, and the children of a sample. The interval
  // grows with the number of members, so that all together send some fifty messages a second at
  // most. Call it only while there is no metaserver.
  void exchange(Tree& tree, Random& random, TimePoint now, Effects& fx);

 private:
  const PeerId self_;
  std::deque<wire::Contact> firstHand_;
  std::deque<wire::Contact> hearsay_;
  TimePoint nextExchange_ = TimePoint::min();
};

}  // namespace espalier::peer
