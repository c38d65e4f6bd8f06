// The commands on transfers that go on: pause, resume, cancel, limit.
#pragma once

#include <string>
#include <vector>

#include "common/command/dispatcher.h"
#include "peer/shell/transfer_service.h"

namespace espalier::peer::shell {

// The service outlives its commands.
std::vector<command::Command> transferCommands(TransferService& service);

// The same context with progress for a download: as JSON an event a second, the first after a
// second, {"command":"get","event":"progress","name":"f3.bin","done":…,"size":…}. What each source
// sends is shown only with `eachSource`.
command::Context reporting(command::Context context, std::string command, bool eachSource);

}  // namespace espalier::peer::shell
