// The part of RoomHome that keeps which peers are here, and in which rooms.
#include <algorithm>

#include "metaserver/core/rooms/room_home.h"

namespace espalier::metaserver::rooms {

void RoomHome::opened(ConnectionId connection, const PeerId& peer, TimePoint now) {
  const auto [found, isNew] = sessions_.try_emplace(connection);
  auto& session = found->second;
  session.peer = peer;
  session.opening = ++openings_;
  session.tokens = rate_.burst;
  session.tokensAt = now;
  if (!isNew) return;
  if (freeSlots_.empty()) {
    freeSlots_.push_back(static_cast<Slot>(slots_.size()));
    slots_.push_back(connection);
  }
  session.slot = freeSlots_.back();
  freeSlots_.pop_back();
  slots_[session.slot] = connection;
}

void RoomHome::closed(ConnectionId connection) {
  const auto session = sessions_.find(connection);
  if (session == sessions_.end()) return;
  // What it said is passed on nevertheless: it may be under way. Nobody waits for the answer.
  const auto rooms = session->second.rooms;
  for (const auto room : rooms) leave(session->second, room);
  freeSlots_.push_back(session->second.slot);
  sessions_.erase(session);
}

bool RoomHome::isIn(const Session& session, const RoomName& room) const {
  const auto number = numbers_.find(room);
  return number && std::binary_search(session.rooms.begin(), session.rooms.end(), *number);
}

void RoomHome::enter(Session& session, const RoomName& room) {
  const auto number = numbers_.take(room);
  if (!number) return;
  if (rooms_.size() <= *number) rooms_.resize(*number + 1u);
  insertSorted(rooms_[*number], session.slot);
  insertSorted(session.rooms, *number);
  const auto* there = disk_.log().find(room);
  if (!isLevel_ || !there || isClosed(room)) session.unseen.push_back(*number);
}

void RoomHome::leave(Session& session, Number room) {
  eraseSorted(session.rooms, room);
  std::erase_if(session.gates, [&](const auto& gate) { return gate.first == room; });
  std::erase(session.unseen, room);
  eraseSorted(rooms_[room], session.slot);
  numbers_.drop(room);
}

// Asked once: what follows is told to the peer as to all.
bool RoomHome::hasOpenedSince(Session& session, const wire::RoomAsk& ask) const {
  const auto number = numbers_.find(ask.room);
  if (ask.from == wire::RoomAsk::From::last || !number) return false;
  if (std::erase(session.unseen, *number) == 0) return false;
  if (session.unseen.empty()) session.unseen.shrink_to_fit();
  const auto* room = disk_.log().find(ask.room);
  const bool hasGate = lobbyOpensAt_ > 0 || (room && room->opensAt() > 0);
  return hasGate && ask.from == wire::RoomAsk::From::now;
}

wire::RoomsWanted RoomHome::wantedOf(const Session& session) const {
  wire::RoomsWanted wanted{session.revision, {}};
  for (const auto room : session.rooms) {
    if (numbers_.nameOf(room) == lobby()) continue;
    wanted.rooms.push_back({numbers_.nameOf(room), 0});
    for (const auto& [gate, opensAt] : session.gates) {
      if (gate == room) wanted.rooms.back().opensAt = opensAt;
    }
  }
  std::ranges::sort(wanted.rooms, {}, &wire::RoomWanted::room);
  return wanted;
}

}  // namespace espalier::metaserver::rooms
