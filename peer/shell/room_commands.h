// `rooms`, `join`, `part`, `say`, `who`, `history`, `chat`, `watch`: rooms at the prompt.
#pragma once

#include <vector>

#include "common/command/dispatcher.h"
#include "peer/shell/room_service.h"

namespace espalier::peer::shell {

// The service outlives its commands.
std::vector<command::Command> roomCommands(RoomService& service);

}  // namespace espalier::peer::shell
