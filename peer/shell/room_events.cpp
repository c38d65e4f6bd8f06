#include "peer/shell/room_events.h"

#include <chrono>
#include <utility>

namespace espalier::peer::shell {

using Happening = RoomHappened::Kind;
using Entry = wire::RoomEntry;

namespace {

std::chrono::milliseconds since1970(std::uint64_t ms) {
  return std::chrono::milliseconds(static_cast<std::chrono::milliseconds::rep>(ms));
}

}  // namespace

RoomHappened happened(Happening kind, const RoomName& room) {
  RoomHappened event;
  event.kind = kind;
  event.room = room.text();
  return event;
}

RoomHappened eventOf(RoomViewsEffects::Show& show) {
  auto& entry = show.entry;
  auto event = happened(entry.kind == Entry::Kind::message ? Happening::message : Happening::opened,
                        entry.room);
  event.number = entry.number;
  event.epoch = entry.position.epoch.counter;
  event.at = since1970(entry.atMs);
  event.from = entry.author.text();
  event.text = std::move(entry.text);
  event.isOwn = show.isOwn;
  event.namesUser = show.namesUser;
  event.isApart = entry.isApart;
  return event;
}

RoomHappened eventOf(const RoomViewsEffects::Missing& missing) {
  auto event = happened(Happening::missing, missing.room);
  event.number = missing.from;
  event.lastNumber = missing.to;
  event.after = since1970(missing.afterMs);
  event.at = since1970(missing.beforeMs);
  return event;
}

RoomInfo infoOf(const RoomViews::Row& row) {
  const auto& state = row.state;
  // A member counts itself.
  return {row.room, state.members,     state.opensAt, state.isOpen,
          true,     state.members > 0, row.unread,    row.naming};
}

}  // namespace espalier::peer::shell
