// A metaserver's table of commands: topo, status, whatif, stats and stop, and those of
// cluster_commands.h. Built by main(); its handlers call a MetaserverService and a ClusterService.
#pragma once

#include <vector>

#include "common/command/dispatcher.h"
#include "metaserver/shell/cluster_service.h"
#include "metaserver/shell/metaserver_service.h"

namespace espalier::metaserver::shell {

// Both outlive the table.
std::vector<command::Command> metaserverCommands(MetaserverService& service,
                                                 ClusterService& cluster);

}  // namespace espalier::metaserver::shell
