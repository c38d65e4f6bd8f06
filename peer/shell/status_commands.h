// The commands on this peer's own state: peers, status.
#pragma once

#include "common/command/dispatcher.h"
#include "peer/shell/status_service.h"
#include "peer/shell/topology_service.h"

namespace espalier::peer::shell {

// The services outlive their commands.
command::Command peersCommand(TopologyService& service);
command::Command statusCommand(StatusService& service);

}  // namespace espalier::peer::shell
