// The messages by which a home lets the master decide for its peers. Plain values without protobuf,
// so that cores can use them. metaserver/core/cluster/home_sessions.h is the home's side,
// remote_sessions.h the master's.
//
//   home                                     master
//    -- SessionOpened, SessionRequest* -->     |     a session that the master has to know
//    -- SessionResumed, SessionRequest* -->    |     after a change of masters
//    <-- SessionReply*, SessionReading* --     |
//    -- SessionEnded -->  or  <-- SessionClosed --   at the end
//
// Both sides rely on the order of the messages between the two. Once a message may be lost, the
// master ends all sessions of the home (RemoteSessions::homeGone()), and the home resumes them.
// What is about a session that is not open is ignored. They travel in batches (SessionRequests,
// SessionAnswers), which name the epoch of the master: what comes from another one is dropped.
//
// What homes and the master tell each other about rooms is of no session, and has its place in
// these streams for their order and completeness only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/wire/registry.h"
#include "common/wire/rooms.h"

namespace espalier::wire {

// A session of a home with one of its peers: 1 to limits::kSessionNumber, unique in a run of the
// home.
enum class SessionId : std::uint64_t {};

constexpr std::uint64_t number(SessionId session) {
  return static_cast<std::uint64_t>(session);
}

// --- from the home

struct SessionOpened {
  SessionId session{};
  std::string host;  // the peer's source address; 1 to limits::kHostBytes

  bool operator==(const SessionOpened&) const = default;
};

// Join, PortTaken, Links, Seek, Rate or Quit. The home answers the others by itself.
struct SessionRequest {
  SessionId session{};
  RegistryRequest request;

  bool operator==(const SessionRequest&) const = default;
};

// A session of a member, or of a peer whose Join another master was asked to decide. Opens the
// session, and lets its peer join.
struct SessionResumed {
  enum class Kind : std::uint8_t {
    member = 1,
    undecided = 2,  // no answer to its Join has come: a member of its generation is the decision
    quitting = 3,   // a member that has left: the master removes it, and closes the session
  };
  SessionId session{};
  Kind kind = Kind::member;
  std::string host;  // as in SessionOpened
  Join join;         // of a member: with network, order, endpoint and links as the home knows them
  std::uint16_t portTaken = 0;  // a PortTaken that was not answered; 0: none

  bool operator==(const SessionResumed&) const = default;
};

// Its connection has ended without Quit.
struct SessionEnded {
  SessionId session{};

  bool operator==(const SessionEnded&) const = default;
};

// Of no session.
struct SessionRoomPassed {
  RoomPassed message;

  bool operator==(const SessionRoomPassed&) const = default;
};

using SessionMessage =
    std::variant<SessionOpened, SessionRequest, SessionResumed, SessionEnded, SessionRoomPassed>;

// --- from the master

struct SessionReply {
  SessionId session{};
  RegistryReply reply;

  bool operator==(const SessionReply&) const = default;
};

// The master has ended the session: the home closes the connection.
struct SessionClosed {
  SessionId session{};

  bool operator==(const SessionClosed&) const = default;
};

// Whether the home reads from the connection: requests over the budget wait at their sender.
struct SessionReading {
  SessionId session{};
  bool goesOn = false;

  bool operator==(const SessionReading&) const = default;
};

// Of no session.
struct SessionRoomAnswer {
  RoomAnswer message;

  bool operator==(const SessionRoomAnswer&) const = default;
};

using SessionAnswer = std::variant<SessionReply, SessionClosed, SessionReading, SessionRoomAnswer>;

// Of which session it is; none: of no session.
template <typename... Kinds>
std::optional<SessionId> sessionOf(const std::variant<Kinds...>& message) {
  return std::visit(
      [](const auto& one) -> std::optional<SessionId> {
        if constexpr (requires { one.session; }) return one.session;
        return std::nullopt;
      },
      message);
}

// --- how they travel

// The messages of one direction are counted within a stream, which the home begins: at a new
// master, and whenever a message may be lost. An empty batch, sent at intervals, shows the other
// side whether the latest ones have arrived.
struct SessionRequests {
  Epoch epoch;                 // of the master that they are for
  std::uint64_t stream = 0;    // rises; its upper bits are when the home was started
  std::uint64_t sequence = 0;  // of the last message; how many the stream has had with this batch
  std::vector<SessionMessage> messages;

  bool operator==(const SessionRequests&) const = default;
};

struct SessionAnswers {
  Epoch epoch;  // of the master that they are from
  std::uint64_t stream = 0;
  std::uint64_t sequence = 0;  // the same, of this direction
  bool isBroken = false;       // a message of the home is missing: it begins a new stream
  std::vector<SessionAnswer> messages;

  bool operator==(const SessionAnswers&) const = default;
};

}  // namespace espalier::wire
