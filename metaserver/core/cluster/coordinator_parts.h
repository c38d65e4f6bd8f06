// What Coordinator (coordinator.h) remembers from one event to the next, beside its parts that have
// headers of their own. Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/wire/cluster.h"
#include "metaserver/core/cluster/balance.h"
#include "metaserver/core/cluster/durable.h"
#include "metaserver/core/cluster/election.h"
#include "metaserver/core/cluster/replica.h"
#include "metaserver/core/effects.h"
#include "metaserver/core/registry.h"
#include "metaserver/core/rooms/room_home.h"

namespace espalier::metaserver::cluster {

struct CoordinatorOptions {
  // Name, number, address, started and priority of this metaserver.
  wire::ServerState self;
  ElectionRule rule = ElectionRule::oldest;
  std::vector<wire::Setting> settings;  // what all must agree on
  Registry::Options registry;           // of the state file
  Durable durable;
  bool isByEtcd = false;   // etcd says who decides (mastership.h)
  std::string etcdPrefix;  // of its keys there
  bool isCluster = false;  // it begins as a part of a cluster, not as a single one
  std::size_t named = 0;   // addresses of metaservers that it was started with
  std::size_t peersMost = limits::kMembers;  // at this metaserver; 0: an entry holds none
  BalanceRule balance = BalanceRule::leastConnections;
  std::uint32_t chatOpensAt = 0;  // of the network; 0 or 1: at once
  rooms::RoomRate roomRate;
};

// A connection to another metaserver, both of whose ends have introduced themselves.
struct CoordinatorLink {
  ConnectionId connection{};
  bool dialledHere = false;
  std::uint64_t dial = 0;
  wire::Introduction introduction;
};

// A metaserver, for users.
struct CoordinatorRow {
  wire::ServerState state;
  bool isSelf = false;
  bool isMaster = false;
  std::uint64_t behind = 0;  // changes that its copy lacks
  unsigned hops = 0;         // 0: itself; 1: linked
};

// For the reader of the directory.
struct CoordinatorMoment {
  std::uint64_t version = 0;
  bool awaiting = false;
  wire::NetworkId network;
  JoinOrder nextOrder{1};
};

// An admission, and what follows it on that connection, until another metaserver has it.
struct Held {
  Send send;
  std::optional<std::uint64_t> sequence;  // of the publication; none: not published yet
};

// A frozen master's directory, to be taken over.
struct Taking {
  static constexpr auto kPatience = std::chrono::seconds(5);  // without progress it is given up
  ServerNumber from{};
  wire::DirectoryVersion last;
  TimePoint until;
  std::unique_ptr<Replica> copy;  // of another side; null: the replica has it
};

// The metaservers of this side, as they are seen now.
struct View {
  std::vector<wire::ServerState> states;  // this one first, then those that are reached
  std::vector<wire::ServerState> deciding;
  Epoch highest;
};

}  // namespace espalier::metaserver::cluster
