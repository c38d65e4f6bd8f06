// A peer's table of commands: each command's words, help and handler. A handler uses the services
// only. LocalPeer builds the dispatcher from it; prompt, -e and control socket run commands there.
#pragma once

#include <cstdint>
#include <vector>

#include "common/command/dispatcher.h"
#include "peer/shell/services.h"

namespace espalier::peer::shell {

struct CommandSettings {
  // Own downloads wait until so many peers have joined, once. 0: they do not wait.
  std::uint64_t total = 0;
};

// The services outlive the table.
std::vector<command::Command> peerCommands(const Services& services, CommandSettings settings = {});

// Completion from what the services know.
command::Dispatcher::Names peerNames(const Services& services);

}  // namespace espalier::peer::shell
