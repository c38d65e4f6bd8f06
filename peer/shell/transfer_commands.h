// The commands on transfers that go on: pause, resume, cancel, limit; and how transfers are shown.
#pragma once

#include <string>
#include <vector>

#include "common/command/dispatcher.h"
#include "peer/shell/transfer_service.h"

namespace espalier::peer::shell {

// `service` outlives them.
std::vector<command::Command> transferCommands(TransferService& service);

// The same with progress as a download's user wants it: as JSON an event a second,
// {"command":"get","event":"progress","name":"f3.bin","done":…,"size":…}, the first after a second;
// and what each source gives only where that was asked for.
command::Context reporting(command::Context context, std::string command, bool eachSource);

// {"name":"f3.bin","incoming":true,"state":"active","done":…,"size":…,"rate":…,"peer":"s1"}; of a
// download also "number" and "sources", of an upload "to".
command::Json transferData(const ActiveTransfer& transfer);
// `fetching 2` and `f3.bin: 42 % of 2.9 GB, 310.4 MB/s, 5.48 s left, from s1 and s3`
std::vector<std::string> transferRow(const command::Json& transfer);

}  // namespace espalier::peer::shell
