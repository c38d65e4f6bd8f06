// Checks of a peer's state before the peer runs on it: a mistake or damage is reported at the
// start, and nothing is overwritten. All functions block on the disk; errors have the code
// `configuration`. LocalPeer::create() calls them.
#pragma once

#include <string>

#include "common/base/result.h"

namespace espalier::peer::shell {

// An error if the share is a state folder, or lies in one: nothing in it would be shared.
Result<void> checkShareFolder(const std::string& share, const std::string& stateFolder);

// An error if the share's list or index has a newer version, or if the list is damaged: without it
// files that the user has unshared would be shared again. (A damaged index is made again.)
Result<void> checkShareState(const std::string& stateFolder);

// Removes incomplete downloads that have not grown for 30 days, and logs it.
void tidyIncoming(const std::string& stateFolder, const std::string& downloads);

}  // namespace espalier::peer::shell
