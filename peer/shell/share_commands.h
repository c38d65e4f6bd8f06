// The commands on shares: list, share, unshare.
#pragma once

#include "common/command/dispatcher.h"
#include "peer/shell/share_service.h"

namespace espalier::peer::shell {

// The service outlives its commands.
command::Command listCommand(ShareService& service);
command::Command shareCommand(ShareService& service);
command::Command unshareCommand(ShareService& service);

}  // namespace espalier::peer::shell
