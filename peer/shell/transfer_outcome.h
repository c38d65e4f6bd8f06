// A transfer in progress, as `status`, `pause`, `resume` and `cancel` show it. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "common/command/outcome.h"
#include "peer/shell/transfer_service.h"

namespace espalier::peer::shell {

// {"name":"f3.bin","incoming":true,"state":"active","done":…,"size":…,"rate":…,"peer":"s1"}; of a
// download also "number" and "sources", of an upload "to".
command::Json transferData(const ActiveTransfer& transfer);
// `fetching 2` and `f3.bin: 42 % of 2.9 GB, 310.4 MB/s, 5.48 s left, from s1 and s3`
std::vector<std::string> transferRow(const ActiveTransfer& transfer);

}  // namespace espalier::peer::shell
