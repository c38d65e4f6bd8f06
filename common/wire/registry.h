// The messages between a peer and its metaserver. docs/protocol.md describes each message;
// registry_codec.h encodes them. Plain values without protobuf, so that cores can use them.
//
// A `number` is chosen by the peer, for one session, and repeated by the answer, so that the peer
// knows which of its requests is answered. 0: none; an old metaserver repeats none.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/wire/contact.h"
#include "common/wire/hello.h"
#include "common/wire/link.h"
#include "common/wire/order_range.h"
#include "common/wire/room_lists.h"
#include "common/wire/rooms.h"
#include "common/wire/statistics.h"

namespace espalier::wire {

// --- from the peer ---

// The peer joins the network, or comes back into it.
struct Join {
  PeerId id;
  InstanceKey key;
  std::string word;
  Endpoint listen;  // no host: the connection's source address; port 0: the metaserver assigns one

  // Only of a peer that was in the network before; otherwise zero or empty.
  NetworkId network;
  JoinOrder order = kNoOrder;
  std::optional<PeerId> parent;
  std::vector<PeerId> neighbours;  // in order of linking

  // Counts the requests to join of this peer, and so its homes: of two sessions of one member the
  // one of the higher generation is the present one. 0: it does not count.
  std::uint32_t generation = 0;

  // Of `key`; zero: not told. The codec refuses one that is not the key's.
  InstanceHash instance = {};
  // When the session has begun that it begins or goes on with, since 1970. The home sets it,
  // whatever its peer says. 0: not told.
  std::chrono::milliseconds since{};

  bool operator==(const Join&) const = default;
};

// The assigned port is in use on this peer's machine: asks for another one.
struct PortTaken {
  std::uint16_t port = 0;

  bool operator==(const PortTaken&) const = default;
};

// This peer's links, sent when they change.
struct Links {
  std::optional<PeerId> parent;
  std::vector<PeerId> neighbours;  // in order of linking, the parent included
  std::uint64_t number = 0;        // not 0: requests a Strangers with this number

  bool operator==(const Links&) const = default;
};

// This peer has no parent and asks for a referral.
struct Seek {
  std::optional<PeerId> lost;    // the parent that it had
  std::optional<PeerId> failed;  // the peer that it could not attach to

  bool operator==(const Seek&) const = default;
};

struct RegistryHeartbeat {
  bool operator==(const RegistryHeartbeat&) const = default;
};

// Asks for the members that joined after `after`; answered by one Topology.
struct TopologyRequest {
  JoinOrder after = kNoOrder;
  std::uint64_t number = 0;
  // Only this one of them, if it is a member. Empty: all. An old metaserver names them all.
  PeerId id = {};

  bool operator==(const TopologyRequest&) const = default;
};

struct MembersRequest {
  std::uint64_t number = 0;

  bool operator==(const MembersRequest&) const = default;
};

struct Quit {
  bool operator==(const Quit&) const = default;
};

// What its user says about the service; once a session. Answered by Rated.
struct Rate {
  unsigned score = 0;  // 1 to 5
  std::string text;    // UTF-8; limits::kRatingBytes at most
  std::uint64_t number = 0;

  bool operator==(const Rate&) const = default;
};

using RegistryRequest =
    std::variant<Join, PortTaken, Links, Seek, RegistryHeartbeat, TopologyRequest, MembersRequest,
                 Quit, Rate, StatisticsRequest, RoomRequest, RoomListRequest, RoomWhoRequest>;

// --- from the metaserver ---

// The position of a peer in the tree.
struct Referral {
  enum class Kind {
    keep = 1,   // it keeps its links
    root = 2,   // it becomes the root
    below = 3,  // below `parent`, where a slot is reserved
  };
  Kind kind = Kind::keep;
  Contact parent;

  bool operator==(const Referral&) const = default;
};

struct Admitted {
  NetworkId network;
  Contact self;  // with the order of joining and the endpoint that others will dial
  unsigned maxLinks = 2;
  std::chrono::milliseconds heartbeatInterval{2000};
  std::uint64_t members = 1;
  Referral referral;
  std::string source = {};  // the source host of the connection; empty: not told
  // The other metaservers of the network, limits::kMetaserversTold at most; empty: not told.
  std::vector<Endpoint> metaservers = {};
  std::chrono::milliseconds since = {};  // when its session has begun; 0: not told
  bool hasRooms = false;                 // the metaservers know the messages of rooms

  bool operator==(const Admitted&) const = default;
};

// Not admitted yet: the metaserver was restarted and waits for its absent members.
struct Wait {
  std::string reason;

  bool operator==(const Wait&) const = default;
};

// The join word was wrong; the connection stays, and another Join may follow.
struct WordRefused {
  std::string word;  // the word that the network wants; shown at the prompt

  bool operator==(const WordRefused&) const = default;
};

// The peer goes to another metaserver of the same network: instead of an answer to its Join, or at
// any time while it is a member.
struct Redirect {
  Endpoint to;
  NetworkId network;  // not zero; the Welcome there tells the same

  bool operator==(const Redirect&) const = default;
};

struct RegistryHeartbeatReply {
  std::chrono::milliseconds heartbeatInterval{2000};
  std::string unreachable = {};  // why the metaserver cannot reach the peer; empty: no problem
  std::vector<Endpoint> metaservers = {};  // as in Admitted; empty: as they were told last

  bool operator==(const RegistryHeartbeatReply&) const = default;
};

struct Members {
  std::uint64_t count = 1;
  JoinOrder newest = kNoOrder;  // the highest order that was assigned
  std::uint64_t number = 0;     // of the request
  // The orders of these members, limits::kCoverageRanges at most; of others, too, where there were
  // more. Empty: not told.
  std::vector<OrderRange> orders = {};

  bool operator==(const Members&) const = default;
};

struct TopologyEntry {
  Contact member;
  std::optional<PeerId> parent;
  std::vector<PeerId> neighbours;  // links that both ends have reported, in order of linking

  bool operator==(const TopologyEntry&) const = default;
};

struct Topology {
  std::vector<TopologyEntry> entries;
  bool more = false;
  std::uint64_t number = 0;  // of the request

  bool operator==(const Topology&) const = default;
};

// The answer to Links that have a number: which of the neighbours that they name were not let into
// the network.
struct Strangers {
  std::uint64_t number = 0;         // of the Links
  std::vector<PeerId> ids;          // no members, and not absent
  std::vector<PeerId> unconfirmed;  // members that report no link to the sender (yet)

  bool operator==(const Strangers&) const = default;
};

struct Rated {
  std::uint64_t number = 0;  // of the Rate
  bool isTaken = false;      // false: this session was rated before

  bool operator==(const Rated&) const = default;
};

using RegistryReply =
    std::variant<Admitted, Referral, Wait, WordRefused, RegistryHeartbeatReply, Members, Topology,
                 Failure, Strangers, Redirect, Rated, Statistics, RoomReply, RoomList, RoomWho>;

}  // namespace espalier::wire
