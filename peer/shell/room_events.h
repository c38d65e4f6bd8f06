// What RoomViews says has happened, as events. Pure functions; used by RoomDesk.
#pragma once

#include "peer/core/rooms/room_effects.h"
#include "peer/shell/events.h"

namespace espalier::peer::shell {

// Of that kind, without more.
RoomHappened happened(RoomHappened::Kind kind, const RoomName& room);
// Takes the text.
RoomHappened eventOf(RoomViewsEffects::Show& show);
RoomHappened eventOf(const RoomViewsEffects::Missing& missing);

}  // namespace espalier::peer::shell
