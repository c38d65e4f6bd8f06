// The messages of a link, and of the connection that is to become one:
//
//   joiner                         acceptor
//     Hello (purpose link), Attach -->
//                              <-- Accepted: it is the joiner's parent from now on
//                              <-- Held: wait until a fresh heartbeat of the root has come
//                              <-- Referred, Refused: it closes the connection
//
// docs/protocol.md describes each message; link_codec.h encodes them. Plain values without
// protobuf: the cores of peers make and read them, their shells send them.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/wire/contact.h"
#include "common/wire/hello.h"
#include "common/wire/push.h"
#include "common/wire/search.h"

namespace espalier::wire {

// How fresh a peer's knowledge of its root is: the sequence number of the last heartbeat that
// reached it, and the peer's distance from the root at that time. Labels keep the tree free of
// cycles; peer/core/tree.h has the rule and its proof.
struct Label {
  std::uint64_t sequence = 0;
  std::uint32_t depth = std::numeric_limits<std::uint32_t>::max();

  bool operator==(const Label&) const = default;
  bool betterThan(const Label& other) const {
    return sequence != other.sequence ? sequence > other.sequence : depth < other.depth;
  }
};

// What a peer knows of the tree above it: the peers that it can attach to when it loses its parent.
struct Lineage {
  Contact root;
  std::vector<Contact> ancestors;     // nearest first; at most limits::kContacts with the next
  std::vector<Contact> rootChildren;  // by age

  bool operator==(const Lineage&) const = default;
};

// Chosen by the joiner for one acceptor, and the same each time that it attaches there. An Attach
// with a known secret comes from the same joiner and replaces its link.
using LinkSecret = Bytes<16, struct LinkSecretTag>;

// Joiner to acceptor: asks for a slot.
struct Attach {
  // The acceptor refuses another network: its port may have been that of a member there.
  NetworkId network;
  Contact self;
  Label floor;              // only a peer with a better label may accept
  std::uint64_t below = 1;  // peers that come with it, itself included
  LinkSecret secret{};      // zero: none

  bool operator==(const Attach&) const = default;
};

struct Accepted {
  Contact self;
  Label label;
  std::uint64_t members = 1;  // of the tree, as far as the acceptor knows
  Lineage lineage;            // the acceptor's own

  bool operator==(const Accepted&) const = default;
};

// No slot is free here: the joiner tries these, in this order.
struct Referred {
  std::vector<Contact> candidates;

  bool operator==(const Referred&) const = default;
};

enum class RefusalReason {
  below = 1,       // the joiner is an ancestor, or seems to be
  younger = 2,     // my root joined after the joiner and will come to it
  unanchored = 3,  // the joiner's floor is so far ahead that no root will better it
  otherNetwork = 4,
  busy = 5,  // as many joiners are waiting as a peer keeps, or no fresh heartbeat came in time
};

// A slot is free, but a fresh heartbeat must come from the root first: the joiner waits.
struct Held {
  bool operator==(const Held&) const = default;
};

struct Refused {
  RefusalReason reason = RefusalReason::busy;

  bool operator==(const Refused&) const = default;
};

// Both ways, at least every limits::kHeartbeatInterval. Down: the label is the parent's. Up: the
// label is not read.
struct Heartbeat {
  Label label;
  std::uint64_t members = 1;  // down: of the whole tree; up: the sender and all below it

  bool operator==(const Heartbeat&) const = default;
};

// Down, when the sender's lineage has changed.
struct LineageChanged {
  Lineage lineage;

  bool operator==(const LineageChanged&) const = default;
};

// Up, to the root: a joiner waits at a peer of this tree and needs a heartbeat above `floor`.
struct Raise {
  Label floor;
  Contact seeker;
  PeerId acceptor;  // where it waits; a seeker that gets its own Raise knows that peer to be below
                    // itself

  bool operator==(const Raise&) const = default;
};

// Up, to the root: the contacts that a peer knew in the tree from which it has come. Some of them
// may be in a tree of their own by now, and only a root searches for other trees. Down, while there
// is no metaserver: a sample of the contacts that the parent knows.
struct PeerExchange {
  std::vector<Contact> contacts;  // at most limits::kContacts

  bool operator==(const PeerExchange&) const = default;
};

// Both ways: the sender leaves the network, or closes this link.
struct Farewell {
  bool operator==(const Farewell&) const = default;
};

using LinkMessage =
    std::variant<Attach, Accepted, Referred, Held, Refused, Heartbeat, LineageChanged, Raise,
                 PeerExchange, Farewell, Query, Answer, Lost, PushOffer, PushLedger>;

}  // namespace espalier::wire
