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
// What is about a session that is not open is ignored. What comes from another master than the
// present one must be dropped before: the envelope names the epoch.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "common/base/ids.h"
#include "common/wire/registry.h"

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

// Join, PortTaken, Links, Seek or Quit. The home answers the others by itself.
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
    undecided = 2,  // no answer to its Join has come
    quitting = 3,   // a member that has left: the master removes it, and closes the session
  };
  SessionId session{};
  Kind kind = Kind::member;
  std::string host;  // as in SessionOpened
  Join join;         // of a member: with network, order, endpoint and links as the home knows them
  // Undecided: the order of the member that had its id and key before it asked; kNoOrder: none.
  JoinOrder before = kNoOrder;
  std::uint16_t portTaken = 0;  // a PortTaken that was not answered; 0: none

  bool operator==(const SessionResumed&) const = default;
};

// Its connection has ended without Quit.
struct SessionEnded {
  SessionId session{};

  bool operator==(const SessionEnded&) const = default;
};

using SessionMessage = std::variant<SessionOpened, SessionRequest, SessionResumed, SessionEnded>;

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

using SessionAnswer = std::variant<SessionReply, SessionClosed, SessionReading>;

}  // namespace espalier::wire
