// What happens in rooms, as lines for people and as objects for programs. Pure functions; lines are
// safe to print.
#pragma once

#include <string>

#include "common/command/outcome.h"
#include "peer/shell/events.h"
#include "peer/shell/room_service.h"

namespace espalier::peer::shell {

// "fleece  s4: hello"
std::string roomLine(const RoomHappened& event);
// {"event":"message","room":"fleece","number":17,"epoch":1,"at":"…Z","from":"s4","text":"hello"}
command::Json roomEvent(const RoomHappened& event);
// {"event":"private","at":"…Z","from":"s4","text":"hi"}
command::Json privateEvent(const PrivateReceived& message);

// "12 of 20 are here: the chat opens at 20"
std::string gateLine(std::uint64_t members, std::uint64_t opensAt);

}  // namespace espalier::peer::shell
