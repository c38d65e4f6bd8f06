// A peer's table of commands.
#pragma once

#include <cstdint>
#include <vector>

#include "common/command/dispatcher.h"
#include "peer/shell/peer_service.h"

namespace espalier::peer::shell {

struct CommandSettings {
  // 0: none. Else this peer's own downloads wait until so many have joined, once.
  std::uint64_t total = 0;
};

// `service` outlives the table.
std::vector<command::Command> peerCommands(PeerService& service, CommandSettings settings = {});

// Completion from what the service knows.
command::Dispatcher::Names peerNames(PeerService& service);

}  // namespace espalier::peer::shell
