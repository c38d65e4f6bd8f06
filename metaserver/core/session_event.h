// What happens to the sessions of this metaserver's peers, as the registry (of a single metaserver)
// or the home tells its shell, which passes it to sessions/sessions.h. Plain values.
//
//   Approached --> Here --Left (it has quit), or Gone (its connection has ended)--> …
//       |                     Gone --Here, or Elsewhere--> it goes on
//       +--> LostApproach
//
// Members of a dead metaserver that do not come back are told by the master: Ended.
#pragma once

#include <chrono>
#include <string>
#include <variant>

#include "common/base/clock.h"
#include "common/base/ids.h"

namespace espalier::metaserver::session {

// A peer has asked to be let in. Once a connection; not where it is sent to another metaserver, nor
// by a peer that says that it is a member.
struct Approached {
  bool operator==(const Approached&) const = default;
};

// Nobody could take it: all are full, or it went before there was a master.
struct LostApproach {
  bool operator==(const LostApproach&) const = default;
};

struct Here {
  PeerId id;
  JoinOrder order{};
  ConnectionId connection{};
  std::chrono::milliseconds since{};  // when the session has begun, since 1970
  bool isNew = false;                 // it has begun with this Join
  bool isCounted = false;             // there was an Approached for it

  bool operator==(const Here&) const = default;
};

// Without a goodbye. Nothing, if the session goes on with a later connection.
struct Gone {
  JoinOrder order{};
  ConnectionId connection{};
  Duration ago{};  // when it was heard last

  bool operator==(const Gone&) const = default;
};

struct Left {
  JoinOrder order{};

  bool operator==(const Left&) const = default;
};

// The session goes on at another home.
struct Elsewhere {
  JoinOrder order{};

  bool operator==(const Elsewhere&) const = default;
};

// A session of a home that is dead or out of reach: nobody has heard of the peer for `ago`.
struct Ended {
  PeerId id;
  JoinOrder order{};
  std::chrono::milliseconds since{};
  Duration ago{};

  bool operator==(const Ended&) const = default;
};

struct Rating {
  PeerId id;
  unsigned score = 0;  // 1 to 5
  std::string text;    // limits::kRatingBytes at most; whatever the peer wrote

  bool operator==(const Rating&) const = default;
};

using Event = std::variant<Approached, LostApproach, Here, Gone, Left, Elsewhere, Ended, Rating>;

}  // namespace espalier::metaserver::session
