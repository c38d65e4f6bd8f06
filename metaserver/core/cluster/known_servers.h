// The other metaservers that the mesh knows: the latest state of each, its connections, and how it
// is reached. Says which states may enter: a table that is bounded whatever others send.
//
//   stranger    no connection, out of reach: limits::kMeshStrangers at most
//   connected   limits::kMetaservers - 1 at most
//   reached     the same bound (reach.h)
//
// One that is reached or heard lives. Its name and its number are its own: a state of another with
// one of them is refused. Who does not live gives way to one that introduces itself, and a stranger
// whose state is stale to any other stranger.
//
// Invariants (check()): no two have one name or number, or that of this metaserver; at most
// kKnownAtOnce are known.
//
// Times are durations of the mesh's clock. No I/O. Not thread-safe. Owned by the mesh. O(n).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/wire/cluster.h"
#include "metaserver/core/cluster/pair_connections.h"
#include "metaserver/core/cluster/reach.h"

namespace espalier::metaserver::cluster {

inline constexpr std::size_t kKnownAtOnce = limits::kMetaservers - 1 + limits::kMeshStrangers;

// Why a connection is closed.
enum class CloseReason : std::uint8_t {
  itself,       // this process was dialled by itself: do not dial that address again
  numberTaken,  // by another metaserver that lives
  nameTaken,    // the same
  second,       // another connection to that metaserver is kept
  oldRun,       // of a metaserver that was started again
  full,         // limits::kMetaservers are linked
  silent,       // no beat for limits::kMeshDeaf
  malformed,    // a state that no metaserver can have, or another one's
  other,        // it has another network, with members
};

struct Refusal {
  CloseReason reason;
  std::string text;  // printable
};

// Whether `a` is newer than `b`, another state of the same metaserver.
bool isNewer(const wire::ServerState& a, const wire::ServerState& b);
// The same run of the same metaserver.
bool isSameRun(const wire::ServerState& a, const wire::ServerState& b);
// Within the limits of common/wire/cluster.h. The codec checks the same; the bounds here must not
// depend on it.
bool isSound(const wire::ServerState& state);

struct KnownServer {
  wire::ServerState state;
  Duration newsAt{};            // when its state became newer
  PairConnections connections;  // all of this run
  Way way;

  bool isHeard(Duration now) const { return connections.isHeardSince(now - limits::kMeshSilence); }
  bool isFresh(Duration now) const { return now - newsAt < freshFor(way.hops); }
  bool lives(Duration now) const { return way.hops > 0 || isHeard(now); }
  bool isStranger() const { return connections.empty() && way.hops == 0; }
};

class KnownServers {
 public:
  // By number.
  using Servers = std::map<ServerNumber, KnownServer>;

  explicit KnownServers(wire::ServerState self) : self_(std::move(self)) {}

  // This metaserver's. False: another one that is known has one of them.
  bool setIdentity(const ServerName& name, ServerNumber number);
  // Nothing if a state may be taken in.
  std::optional<Refusal> whyRefused(const wire::ServerState& state, Duration now) const;
  // Nothing if the metaserver that introduces itself so on a connection may have that connection.
  std::optional<Refusal> whyNotLinked(const wire::ServerState& state, Duration now) const;

  // The entry of that name and number, for one that is not refused on its connection; a new one has
  // no state. Makes room for it: appends the connections that end with others' entries to `ended`.
  KnownServer& enter(const wire::ServerState& state, std::vector<ConnectionId>& ended);
  // The same for a state that others pass on: null if there is no room.
  KnownServer* enterStranger(const wire::ServerState& state, Duration now,
                             std::vector<ConnectionId>& ended);
  // Removes strangers without news for limits::kMeshForget.
  void forget(Duration now);

  KnownServer* find(ServerNumber number);
  const KnownServer* find(ServerNumber number) const;
  Servers& all() { return servers_; }
  const Servers& all() const { return servers_; }

  // For tests. The message says what is wrong.
  Result<void> check() const;

 private:
  void removeAlike(const wire::ServerState& state, std::vector<ConnectionId>& ended);
  void removeOldestStranger();

  wire::ServerState self_;  // of it only what does not change within a run
  Servers servers_;
};

}  // namespace espalier::metaserver::cluster
