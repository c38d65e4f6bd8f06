// What two peers say on a link, and on the way to one. The joiner dials, says Hello (purpose link)
// and Attach; the acceptor answers Accepted, and from then on it is the joiner's parent, or
// Referred or Refused, and closes. docs/protocol.md describes each message; link_codec.h encodes
// them.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/wire/contact.h"
#include "common/wire/push.h"
#include "common/wire/search.h"

namespace espalier::wire {

// How fresh a peer's knowledge of its root is: the sequence number of the last heartbeat that
// reached it, and how far from the root it was then. What keeps the tree free of cycles; see
// peer/core/tree.h for the rule and why it holds.
struct Label {
  std::uint64_t sequence = 0;
  std::uint32_t depth = std::numeric_limits<std::uint32_t>::max();

  bool operator==(const Label&) const = default;
  bool betterThan(const Label& other) const {
    return sequence != other.sequence ? sequence > other.sequence : depth < other.depth;
  }
};

// Names one network, so that a peer of another one, on a port that was used before, is not taken in
// by mistake.
using NetworkId = Bytes<16, struct NetworkIdTag>;

// Whom a peer can turn to, and what it knows of the tree above it.
struct Lineage {
  Contact root;
  std::vector<Contact> ancestors;     // nearest first; at most limits::kContacts with the next
  std::vector<Contact> rootChildren;  // by age

  bool operator==(const Lineage&) const = default;
};

// Chosen by the joiner for one acceptor, the same each time it asks there: whoever shows it is the
// joiner of before, and replaces the link that it had.
using LinkSecret = Bytes<16, struct LinkSecretTag>;

// Joiner to acceptor: let me hang below you.
struct Attach {
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

// No slot is free here: try these, in this order.
struct Referred {
  std::vector<Contact> candidates;

  bool operator==(const Referred&) const = default;
};

enum class RefusalReason {
  below = 1,       // the joiner is an ancestor, or seems to be
  younger = 2,     // my root joined after the joiner and will come to it
  unanchored = 3,  // no fresh heartbeat came in time: try again later
  otherNetwork = 4,
  busy = 5,  // as many joiners are waiting as a peer keeps
};

// A slot is free, but a fresh heartbeat must come from the root first: wait, this link is being
// looked after.
struct Held {
  bool operator==(const Held&) const = default;
};

struct Refused {
  RefusalReason reason = RefusalReason::unanchored;

  bool operator==(const Refused&) const = default;
};

// Both ways, each limits::kHeartbeatInterval at the latest. Down: the label that the child may take
// as its parent's. Up: the label is not read.
struct Heartbeat {
  Label label;
  std::uint64_t members = 1;  // down: of the whole tree; up: the sender and all below it

  bool operator==(const Heartbeat&) const = default;
};

// Down, when it changed: the sender's own lineage.
struct LineageChanged {
  Lineage lineage;

  bool operator==(const LineageChanged&) const = default;
};

// Up, to the root: somebody wants to hang below a peer of this tree and needs a heartbeat above
// `floor`.
struct Raise {
  Label floor;
  Contact seeker;
  PeerId acceptor;  // where it waits; a seeker that gets its own Raise knows that peer to be below
                    // itself

  bool operator==(const Raise&) const = default;
};

// Up, to the root, from a peer that has come back from elsewhere: whom it knew there. Some may be
// in a tree of their own by now, and only a root looks for others. And down, without a metaserver:
// a sample of those the parent knows.
struct PeerExchange {
  std::vector<Contact> contacts;  // at most limits::kContacts

  bool operator==(const PeerExchange&) const = default;
};

// Both ways: the sender is leaving the network, or gives this link up.
struct Farewell {
  bool operator==(const Farewell&) const = default;
};

using LinkMessage =
    std::variant<Attach, Accepted, Referred, Held, Refused, Heartbeat, LineageChanged, Raise,
                 PeerExchange, Farewell, Query, Answer, Lost, PushOffer, PushLedger>;

}  // namespace espalier::wire
