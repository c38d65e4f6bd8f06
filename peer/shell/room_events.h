// What RoomViews says, as events and as the service of rooms tells it. Pure functions; used by
// RoomDesk.
#pragma once

#include "peer/core/rooms/room_views.h"
#include "peer/shell/events.h"
#include "peer/shell/room_service.h"

namespace espalier::peer::shell {

// Of that kind, without more.
RoomHappened happened(RoomHappened::Kind kind, const RoomName& room);
// Takes the text.
RoomHappened eventOf(RoomViewsEffects::Show& show);
RoomHappened eventOf(const RoomViewsEffects::Missing& missing);

RoomInfo infoOf(const RoomViews::Row& row);

}  // namespace espalier::peer::shell
