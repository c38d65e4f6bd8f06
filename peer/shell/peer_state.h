// What is checked of a peer's state before the peer runs on it: so that a mistake, or damage, is
// told at the start, and nothing is overwritten. All block on the disk; errors have the code
// `configuration`.
#pragma once

#include <string>

#include "common/base/result.h"

namespace espalier::peer::shell {

// A share that is a state folder, or lies in one, would have nothing to share.
Result<void> checkShareFolder(const std::string& share, const std::string& stateFolder);

// The share's list and index: one of a newer version, and a damaged list, which would share again
// what the user has unshared. (A damaged index is made again.)
Result<void> checkShareState(const std::string& stateFolder);

// Removes what nobody went on fetching for long, and logs it.
void tidyIncoming(const std::string& stateFolder, const std::string& downloads);

}  // namespace espalier::peer::shell
