// `push PATH…`: sends files to every peer, and shows the ledger meanwhile and at the end.
// `push` alone: the pushes that this peer knows of.
#pragma once

#include "common/command/dispatcher.h"
#include "peer/shell/push_service.h"

namespace espalier::peer::shell {

// The service outlives its command.
command::Command pushCommand(PushService& service);

}  // namespace espalier::peer::shell
