// What a coordinator asks of its shell (coordinator.h). Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/wire/cluster_message.h"
#include "metaserver/core/cluster/durable.h"
#include "metaserver/core/cluster/etcd_messages.h"
#include "metaserver/core/cluster/mesh.h"
#include "metaserver/core/effects.h"
#include "metaserver/core/rooms/rooms_effects.h"

namespace espalier::metaserver::cluster {

// To be written to etcd in one transaction, if this metaserver is still the master.
struct EtcdPromise {
  std::uint64_t number = 0;
  std::vector<etcd::Operation> operations;  // each key once
};

// What the shell does, in this order. Plain values.
struct CoordinatorEffects {
  // A question of another metaserver, or its answer.
  struct FromServer {
    ServerNumber from{};
    std::variant<wire::StatisticsRequest, wire::Statistics> message;
  };
  struct ToServer {
    ConnectionId connection;
    wire::ClusterMessage message;
    std::optional<wire::Route> route;
  };
  std::optional<Durable> durable;  // durable before anything else is done
  metaserver::Effects peers;       // of this metaserver's own peers; carried out by executor.h
  std::vector<ToServer> messages;
  std::vector<FromServer> statistics;
  // Of rooms: for the disk, messages to metaservers with entries of the disk (to be sent by tell()
  // then), and what peers of this metaserver are told.
  rooms::RoomsEffects rooms;
  // With etcd. To be answered by promised().
  std::vector<EtcdPromise> promises;
  std::optional<ServerName> heir;          // mastership is to be given to that one
  std::vector<MeshEffects::Close> closes;  // of connections to metaservers
  bool isDrained = false;                  // the process may end
};

}  // namespace espalier::metaserver::cluster
