// The mesh: which metaservers of the cluster are there, and how each is reached. Each metaserver
// keeps one connection to each other one, and sends a Beat over each of them every
// limits::kMeshBeat: its own state, and the latest states of the others (link-state gossip).
// The shell dials, introduces both ends, and hands in what arrives.
//
// Another metaserver:
//
//   unknown --a state of it arrives--> stranger --a way of links that are up--> reached
//      ^                                | ^                                       |
//      +-- limits::kMeshForget ---------+ +--- silent, its links are down, closed +
//
// Signs of life. A metaserver is heard while a connection to it is open and its latest beat there
// is younger than limits::kMeshSilence. A link is up if both ends hear each other (reach.h). A link
// is down the moment its connection closes. What travels is the list of those that are heard, so
// two that cannot see each other but both see a third reach each other by way of the third.
//
// Which state is newer: the later `started`, then the higher `sequence`. Ages are counted from the
// local arrival of the latest newer state, so no clock but this process's monotonic one matters.
// What a metaserver says of itself over its own connection counts before what others say of it:
// while its beats arrive, nobody else's word is taken. So one that was restarted with a clock that
// was set back is known at once where it is linked, and elsewhere after limits::kMeshForget.
//
// This process's own stalls do not count against others: time goes on by kCountedGap (mesh.cpp) at
// most between two events, and tick() is due every limits::kMeshBeat.
//
// But the others did not stand still. Behind a stall in which they may have taken this process for
// dead (kDoubtedStall), it is in doubt until each of those that it reached has passed on a state
// that this one has sent since, for limits::kMeshSilence at most: then the others count as dead.
//
//   sure --a stall--> in doubt --all were heard, or the time is over--> sure
//
// Of several connections to one metaserver both ends keep the same one: pair_connections.h.
//
// A connection is refused to this process itself, to the name or number of another that lives, and
// beyond limits::kMetaservers. Who is told that its number is taken draws another one.
//
// Invariants (checkInvariants()): those of known_servers.h, which has the bounds; a connection is
// with one metaserver; a link that is up has a connection that is heard.
//
// Of others' states only fresh ones are passed on, so a dead one's state dies out.
//
// Messages to a metaserver without a link go to next(), which passes them on. While states differ
// they may go round: they need a bound of limits::kMetaservers hops.
//
// Those who link trust each other (a shared secret, or one machine). Nevertheless nothing from the
// network asserts, and a false state of somebody who is heard has no effect.
//
// Does no I/O. Not thread-safe. An event costs O(n * n * log n), n at most 31: some 5 us for a beat
// of 16 metaservers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/wire/cluster.h"
#include "metaserver/core/cluster/known_servers.h"
#include "metaserver/core/cluster/reach.h"
#include "metaserver/core/effects.h"

namespace espalier::metaserver::cluster {

// What the shell does, in this order. Plain values.
struct MeshEffects {
  struct Close {
    ConnectionId connection;
    CloseReason reason;
    std::string text;  // for the Failure that the other end gets; printable
  };
  struct SendBeat {
    std::vector<ConnectionId> to;  // never empty
    wire::Beat beat;
  };
  std::vector<SendBeat> beats;  // one at most for each event
  std::vector<Close> closes;    // closed() need not be called for these
  std::vector<Notice> notices;
};

// The latest beat before a stall may be kMeshBeat old.
inline constexpr Duration kDoubtedStall = limits::kMeshSilence - limits::kMeshBeat;

class Mesh {
 public:
  // What changes of this metaserver's own state.
  struct Own {
    std::uint32_t peers = 0;
    std::uint32_t room = 0;
    bool drains = false;
    bool isDeciding = false;
    bool appointed = false;
    Epoch epoch;
    wire::NetworkId network{};
    bool isFounded = false;
    wire::DirectoryVersion have{};

    bool operator==(const Own&) const = default;
    static Own of(const wire::ServerState& state);
    void fill(wire::ServerState& state) const;
  };
  struct Opened {
    ConnectionId connection{};
    bool dialledHere = false;
    std::uint64_t dial = 0;   // of the Introduction of who dialled
    wire::ServerState other;  // of the other end's Introduction
  };
  struct Reached {
    wire::ServerState state;
    Way way;
  };

  // `self`: name, number, address, started and priority; the rest is not used.
  Mesh(wire::ServerState self, TimePoint now);

  // --- events ---
  // Before what else happens to this process: a long time since the event before is a stall.
  void noticeStall(TimePoint now);
  // Both Introductions have passed.
  void opened(const Opened& opened, TimePoint now, MeshEffects& fx);
  void closed(ConnectionId connection, TimePoint now, MeshEffects& fx);
  void received(ConnectionId connection, const wire::Beat& beat, TimePoint now, MeshEffects& fx);
  void tick(TimePoint now, MeshEffects& fx);
  // Told to all with the next beat; at once unless only `peers`, `room` or the sequence of `have`
  // changed.
  void setOwn(const Own& own, TimePoint now, MeshEffects& fx);
  // Ends the connections to that metaserver.
  void refuse(ServerNumber number, CloseReason reason, std::string_view text, TimePoint now,
              MeshEffects& fx);
  TimePoint deadline() const;

  // It has another name or number from now on, which makes another metaserver of it for others:
  // before it is linked. False: another one that is known has one of them.
  bool setIdentity(const ServerName& name, ServerNumber number);
  // It listens there from now on. Told to all at once.
  void setAddress(const Endpoint& address, TimePoint now, MeshEffects& fx);

  // For the next Introduction.
  wire::ServerState introduce();

  // --- queries ---
  const wire::ServerState& self() const { return self_; }
  // Without itself, by number.
  std::vector<Reached> reachable() const;
  // The same without copies: visit(state, way).
  template <typename Visit>
  void visitReachable(Visit&& visit) const {
    for (const auto& [itsNumber, server] : known_.all()) {
      if (server.way.hops > 0) visit(server.state, server.way);
    }
  }
  // To whom to hand a message for that metaserver.
  std::optional<ServerNumber> next(ServerNumber number) const;
  // The metaservers to which the link is up, by number.
  std::vector<ServerNumber> links() const;
  // The metaserver at the other end of a connection.
  std::optional<ServerNumber> at(ConnectionId connection) const;
  // The connection that is kept; the link may be down.
  std::optional<ConnectionId> connectionTo(ServerNumber number) const;
  // Whether there is a connection to one that is not reached (yet).
  bool isLinking() const;
  // Those that live and have no connection: to be dialled again and again.
  std::vector<wire::ServerState> unconnected() const;
  // The time for which this process stood still, while it does not know what the others have done
  // meanwhile; none: it is sure. Also if no event has come since the stall.
  std::optional<Duration> doubtedStall(TimePoint now) const;
  bool isInDoubt() const { return doubt_.has_value(); }
  // Increases when the answer to reachable() or links() is another set, other runs, other ways,
  // other addresses or other networks.
  std::uint64_t version() const { return version_; }

  // For tests. The message says what is wrong.
  Result<void> checkInvariants() const;

 private:
  void observe(TimePoint now);
  void finish(TimePoint now, MeshEffects& fx);
  void addConnection(KnownServer& server, const Opened& opened, MeshEffects& fx);
  void hearOf(const wire::ServerState& state, MeshEffects& fx);
  void setState(KnownServer& server, const wire::ServerState& state, MeshEffects& fx);
  void close(const std::vector<ConnectionId>& connections, CloseReason reason,
             std::string_view text, MeshEffects& fx);
  void closeUnused(MeshEffects& fx);
  void updateHeard(TimePoint now);
  void updateWays(MeshEffects& fx);
  void tell(const KnownServer& server, const Way& before, MeshEffects& fx) const;
  void hurry(TimePoint now);
  void sendBeat(TimePoint now, MeshEffects& fx);
  void updateExpiry();
  void noteEchoes(ServerNumber by, const wire::Beat& beat);
  bool reachesAny() const;
  KnownServer* ownerOf(ConnectionId connection);

  struct Doubt {
    Duration stall;
    std::uint64_t from;  // of the states of this metaserver: the first one since
    TimePoint until;
    std::set<ServerNumber> unheard;
  };

  wire::ServerState self_;
  KnownServers known_;
  std::map<ConnectionId, ServerNumber> owners_;
  TimePoint now_;      // of the latest event
  Duration awake_{};   // how long this process has run, without its stalls
  Duration expiry_{};  // when, of awake_, the next silence is over
  TimePoint beatAt_;
  TimePoint beatLeastAt_;  // no beat before
  std::uint64_t version_ = 0;
  std::optional<Doubt> doubt_;
};

}  // namespace espalier::metaserver::cluster
