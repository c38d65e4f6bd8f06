// Remembers peers that this peer can ask for a slot when all its neighbours are gone.
//
// Two lists, each bounded by limits::kKnownContacts and ordered most recent first:
//   first hand   peers that were linked to this one, or were named by the metaserver
//   hearsay      peers that other peers named, each with the one who named it
//
// Invariants: hearsay never displaces a contact known at first hand; of hearsay the peer that named
// most loses its oldest contact when there are too many; this peer is in neither list;
// a contact (id and endpoint) is in one list at most. A restarted peer has another endpoint. Both
// contacts are kept, because either may be the stale one.
//
// exchange() spreads contacts through the tree while there is no metaserver (peer exchange). If all
// peers that connect two parts of a tree die at once, each part then knows members of the other.
//
// Owned by Membership, read by ParentSearch. Does no I/O, not thread-safe. A call costs
// O(limits::kKnownContacts).
#pragma once

#include <deque>
#include <vector>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/wire/contact.h"
#include "peer/core/effects.h"
#include "peer/core/named_contact.h"
#include "peer/core/tree.h"

namespace espalier::peer {

class KnownContacts {
 public:
  explicit KnownContacts(PeerId self) : self_(std::move(self)) {}
  void setSelf(PeerId self) { self_ = std::move(self); }

  // Adds a contact known at first hand.
  void remember(const NamedContact& named);
  // A link came up. A parent was dialled, so it is known at first hand. A child said where it
  // listens, so that is hearsay until the metaserver knows it; its address pays, as ids are free.
  void linked(const TreeLink& link, const Tree& tree);
  // Adds hearsay, unless the contact is known at first hand.
  void heardOf(const NamedContact& named);
  // Adds the peers that the parent named (the path to the root, the root's children), as hearsay.
  void heardOfAbove(const Tree& tree);
  // Removes the contact.
  void forget(const wire::Contact& contact);

  // First hand, then hearsay.
  std::vector<NamedContact> all() const;

  // When an interval has passed: sends one contact up the tree, and a sample of contacts to each
  // child. The interval grows with the number of members, so the whole network makes some fifty
  // exchanges a second at most. Call it only while there is no metaserver.
  void exchange(Tree& tree, Random& random, TimePoint now, Effects& fx);

 private:
  PeerId self_;
  std::deque<NamedContact> firstHand_;
  std::deque<NamedContact> hearsay_;
  TimePoint nextExchange_ = TimePoint::min();
};

}  // namespace espalier::peer
