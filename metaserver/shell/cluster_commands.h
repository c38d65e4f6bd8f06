// The commands of a metaserver about the others: link, master, uptime, links, servers, drain,
// migrate, forget, rooms, history, and `whatif kill` of a metaserver; with the words of the
// original for them (-c, -m, -t, -cl, -cn, -h).
#pragma once

#include <string>
#include <vector>

#include "common/command/dispatcher.h"
#include "metaserver/shell/cluster_service.h"
#include "metaserver/shell/metaserver_service.h"

namespace espalier::metaserver::shell {

// The service outlives the commands.
std::vector<command::Command> clusterCommands(ClusterService& service);

// `whatif kill NAME`: of a peer as in common/command/network_commands.h, else of a metaserver. Who
// has a peer and a metaserver of one name gets the peer's plan, and a notice; --server chooses the
// metaserver. Both services outlive the command.
command::Command whatIfCommand(MetaserverService& service, ClusterService& cluster);

// -c, -m, -t, -cl, -cn, -h
command::Dispatcher::Shorthands originalCommands();

// For completion: ids of peers and names of metaservers.
command::Dispatcher::Names metaserverNames(MetaserverService& service, ClusterService& cluster);

}  // namespace espalier::metaserver::shell
