// A metaserver's table of commands: topo, status, whatif, stop. Built by main(); its handlers call
// a MetaserverService.
#pragma once

#include <vector>

#include "common/command/dispatcher.h"
#include "metaserver/shell/metaserver_service.h"

namespace espalier::metaserver::shell {

// `service` outlives the table.
std::vector<command::Command> metaserverCommands(MetaserverService& service);

}  // namespace espalier::metaserver::shell
