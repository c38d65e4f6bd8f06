// What a metaserver has while it decides for the network: the registry, the sessions of other homes
// with it, and the directory as it is published to the other metaservers.
//
// An epoch has one Authority. A single metaserver has the epoch (0, 0), publishes nothing, and
// begins an epoch when another metaserver links. A metaserver that decides on under a higher epoch
// makes a new Authority of the directory of the old one: its members are away until their homes
// resume them.
//
// Does no I/O. Not thread-safe. Owned by the coordinator.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/wire/cluster_sessions.h"
#include "metaserver/core/cluster/promised_members.h"
#include "metaserver/core/cluster/publication.h"
#include "metaserver/core/cluster/remote_sessions.h"
#include "metaserver/core/cluster/session_streams.h"
#include "metaserver/core/registry.h"

namespace espalier::metaserver::cluster {

// The decisions of one flush, until they may be told.
struct Commit {
  std::uint64_t promise = 0;   // the last number that has to be kept; 0: none
  std::uint64_t sequence = 0;  // of the publication, with these deltas
  std::vector<wire::Delta> deltas;
  std::map<ServerNumber, std::vector<wire::SessionAnswer>> answers;
};

class Authority {
 public:
  Authority(Registry::Options options, Budget& budget, TimePoint now, metaserver::Effects& fx);
  // Decides under this epoch. `start`: the members that the registry has.
  void begin(Epoch epoch, Directory start);

  Registry registry;
  RemoteSessions remote;
  Publication publication{{}};
  MasterStreams streams;
  // To each home, not sent yet.
  std::map<ServerNumber, std::vector<wire::SessionAnswer>> answers;
  // What was decided and is not told yet, because etcd has not confirmed it.
  std::deque<Commit> commits;
  std::optional<PromisedMembers> promised;  // with etcd
  // Set: it decides nothing any more, and that metaserver is to take over.
  std::optional<ServerNumber> heir;
  TimePoint frozenAt{};
  bool isTaken = false;  // the heir has the members
  Epoch heirsEpoch;      // to which they were offered again

  Epoch epoch() const { return publication.epoch(); }
  bool isFrozen() const { return heir.has_value(); }
  // The registry's changes since the last call, as deltas in their order.
  std::vector<wire::Delta> publish();
  // The stream of that home has ended: what was not sent is not sent in another one, either.
  void dropAnswers(ServerNumber home);
};

}  // namespace espalier::metaserver::cluster
