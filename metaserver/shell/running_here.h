// Finds the metaserver that the commands of `-e` are for, when no state folder was named and
// several may have been started in one folder.
//
// Called by main() of a client. findRunning() blocks on the disk and on the metaservers; the rest
// is pure.
#pragma once

#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace espalier::metaserver::shell {

struct RunningServer {
  std::string state;  // its state folder
  std::string name;   // empty: it does not tell
};

// ./.metaserver and ./.metaserver-*, as far as they are there, sorted; at most
// limits::kStateFoldersTried.
std::vector<std::string> stateFoldersHere();

// Those of the folders on which a metaserver runs. Asks each for its name, 17 at a time; a stopped
// one takes 3 s.
std::vector<RunningServer> findRunning(const std::vector<std::string>& folders);

// The state folder of the one called `wanted`; of the only one if `wanted` is empty. Errors:
// `unavailable` if there is none, `usage` if there are several.
Result<std::string> chooseRunning(const std::vector<RunningServer>& running,
                                  const ServerName& wanted);

}  // namespace espalier::metaserver::shell
