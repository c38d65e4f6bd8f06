// The connections of the registry's sessions. Those that another metaserver holds have an id made
// of their home and session, so no table is needed, and the registry can tell them from its own:
//
//   bit 63  62 … 47  46 … 0
//     1      home    session
//
// An id is used again only by a home that was started again, after the sessions of its run before
// have ended (cluster/remote_sessions.h). Pure functions, O(1).
#pragma once

#include <optional>

#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/wire/cluster_sessions.h"

namespace espalier::metaserver {

inline constexpr unsigned kSessionBits = 47;
static_assert(limits::kSessionNumber == (std::uint64_t{1} << kSessionBits) - 1);

// Of a member that is away (registry.h). Connections of a process count from 1.
inline constexpr ConnectionId kNoConnection{0};

// Whether another metaserver holds the connection. It judges its silence, too.
constexpr bool isTunnelled(ConnectionId connection) {
  return number(connection) >> 63 != 0;
}

constexpr std::optional<ConnectionId> tunnelled(ServerNumber home, wire::SessionId session) {
  if (number(session) == 0 || number(session) > limits::kSessionNumber) return std::nullopt;
  return ConnectionId{std::uint64_t{1} << 63 | std::uint64_t{number(home)} << kSessionBits |
                      number(session)};
}

// kNoServer of a connection of this process.
constexpr ServerNumber homeOf(ConnectionId connection) {
  return isTunnelled(connection)
             ? ServerNumber{static_cast<std::uint16_t>(number(connection) >> kSessionBits)}
             : kNoServer;
}

// Of a connection that another metaserver holds.
constexpr wire::SessionId sessionOf(ConnectionId connection) {
  return wire::SessionId{number(connection) & limits::kSessionNumber};
}

}  // namespace espalier::metaserver
