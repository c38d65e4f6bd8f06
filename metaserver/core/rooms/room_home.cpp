#include "metaserver/core/rooms/room_home.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>

namespace espalier::metaserver::rooms {

using From = wire::RoomAsk::From;
using Kind = wire::RoomEntry::Kind;

void RoomHome::received(ConnectionId connection, const wire::RoomRequest& request,
                        std::uint64_t wallMs, TimePoint now, RoomsEffects& fx) {
  const auto session = sessions_.find(connection);
  if (session == sessions_.end()) return;
  if (const auto* wanted = std::get_if<wire::RoomsWanted>(&request)) {
    take(session, *wanted, fx);
  } else if (const auto* say = std::get_if<wire::RoomSay>(&request)) {
    take(session, *say, wallMs, now, fx);
  } else {
    const auto& ask = std::get<wire::RoomAsk>(request);
    if (isLevel_) return answer(connection, session->second, ask, fx);
    auto& asks = session->second.asks;
    std::erase_if(asks, [&](const wire::RoomAsk& one) { return one.room == ask.room; });
    if (asks.size() <= limits::kRoomsOfPeer) asks.push_back(ask);
  }
}

void RoomHome::levelled(RoomsEffects& fx) {
  if (std::exchange(isLevel_, true)) return;
  for (auto& [connection, session] : sessions_) {
    for (const auto& ask : session.asks) answer(connection, session, ask, fx);
    session.asks.clear();
  }
}

void RoomHome::take(Sessions::iterator session, const wire::RoomsWanted& wanted, RoomsEffects& fx) {
  auto& own = session->second;
  if (own.hasTold && wanted.revision <= own.revision) return;
  own.revision = wanted.revision;
  own.hasTold = true;
  std::set<RoomName> rooms{lobby()};
  for (const auto& room : wanted.rooms) rooms.insert(room.room);
  const auto before = own.rooms;
  for (const auto room : before) {
    if (!rooms.contains(numbers_.nameOf(room))) leave(own, room);
  }
  own.rooms.reserve(rooms.size());
  for (const auto& room : rooms) {
    if (isIn(own, room)) continue;
    enter(own, room);
    fx.peers.push_back({{session->first}, stateOf(room), {}});
  }
  own.gates.clear();
  for (const auto& [room, opensAt] : wanted.rooms) {
    if (opensAt > 0 && isIn(own, room)) own.gates.emplace_back(*numbers_.find(room), opensAt);
  }
  if (hasMaster_) passed_.emplace_back(wire::MemberRooms{own.peer, wanted});
}

// --- saying

std::uint32_t RoomHome::waitFor(Session& session, TimePoint now) {
  const std::chrono::duration<double> passed = now - session.tokensAt;
  session.tokens =
      std::min(rate_.burst, session.tokens + std::max(0.0, passed.count()) * rate_.perSecond);
  session.tokensAt = now;
  if (session.tokens >= 1) {
    session.tokens -= 1;
    return 0;
  }
  return static_cast<std::uint32_t>(std::ceil((1 - session.tokens) / rate_.perSecond * 1000));
}

void RoomHome::refuse(ConnectionId connection, const wire::RoomSay& say, ErrorCode code,
                      std::uint32_t waitMs, const char* why, RoomsEffects& fx) const {
  fx.peers.push_back(
      {{connection}, wire::RoomSaidReply{say.room, say.id, 0, {}, 0, code, waitMs, why}, {}});
}

void RoomHome::take(Sessions::iterator session, const wire::RoomSay& say, std::uint64_t wallMs,
                    TimePoint now, RoomsEffects& fx) {
  const auto connection = session->first;
  auto& own = session->second;
  const auto known = pendingOf_.find({say.room, say.id});
  if (known != pendingOf_.end()) {
    auto& pending = pending_.at(known->second);
    if (pending.said.author == own.peer) answerTo(session, pending);
    return;
  }
  if (say.id.speaker.isZero() || !isIn(own, say.room)) {
    return refuse(connection, say, ErrorCode::refused, 0, "you are not in that room", fx);
  }
  if (refuses_) {
    return refuse(connection, say, ErrorCode::timeout, 0,
                  "this side of the network has no master: nothing can be said", fx);
  }
  if (own.pending >= limits::kRoomSays || pending_.size() >= limits::kRoomSaysHeld) {
    return refuse(connection, say, ErrorCode::refused, 1000,
                  "too many messages wait for the master", fx);
  }
  if (const auto wait = waitFor(own, now); wait > 0) {
    return refuse(connection, say, ErrorCode::refused, wait, "too many messages at once", fx);
  }
  const auto arrival = ++arrivals_;
  pendingOf_.emplace(Key{say.room, say.id}, arrival);
  auto& pending = pending_[arrival];
  pending = {connection, {say, own.peer, wallMs, 0}};
  for (const auto& [gate, opensAt] : own.gates) {
    if (numbers_.nameOf(gate) == say.room) pending.said.opensAt = opensAt;
  }
  ++own.pending;
  if (hasMaster_) passed_.emplace_back(pending.said);
}

// A repetition, maybe in another session than before: the latest one is answered. What was under
// way in a session that is lost may be read behind the repetition in the next one.
void RoomHome::answerTo(Sessions::iterator session, Pending& pending) {
  const auto before = sessions_.find(pending.connection);
  if (before != sessions_.end()) {
    if (before->second.opening >= session->second.opening) return;
    if (before->second.pending > 0) --before->second.pending;
  }
  ++session->second.pending;
  pending.connection = session->first;
}

void RoomHome::forgetPending(std::map<std::uint64_t, Pending>::iterator pending) {
  const auto session = sessions_.find(pending->second.connection);
  if (session != sessions_.end() && session->second.pending > 0) --session->second.pending;
  pendingOf_.erase({pending->second.said.say.room, pending->second.said.say.id});
  pending_.erase(pending);
}

// --- the master

void RoomHome::masterBegan() {
  hasMaster_ = true;
  refuses_ = false;
  passed_.clear();
  for (const auto& [connection, session] : sessions_) {
    if (session.hasTold) passed_.emplace_back(wire::MemberRooms{session.peer, wantedOf(session)});
  }
  for (const auto& [arrival, pending] : pending_) passed_.emplace_back(pending.said);
}

void RoomHome::masterLost(bool refuses, RoomsEffects& fx) {
  hasMaster_ = false;
  refuses_ = refuses;
  passed_.clear();
  if (!refuses) return;
  while (!pending_.empty()) {
    const auto& pending = pending_.begin()->second;
    if (sessions_.contains(pending.connection)) {
      // It may have been stored: the id tells if it is said again.
      refuse(pending.connection, pending.said.say, ErrorCode::timeout, 0,
             "this side of the network has no master: it is not known whether that was said", fx);
    }
    forgetPending(pending_.begin());
  }
}

void RoomHome::answered(const wire::RoomAnswer& answer, RoomsEffects& fx) {
  if (const auto* refused = std::get_if<wire::RoomRefused>(&answer)) {
    for (auto session = sessions_.begin(); session != sessions_.end(); ++session) {
      if (session->second.peer != refused->member || !isIn(session->second, refused->room)) {
        continue;
      }
      leave(session->second, *numbers_.find(refused->room));
      auto state = stateOf(refused->room);
      state.refused = refused->why;
      fx.peers.push_back({{session->first}, std::move(state), {}});
    }
    return;
  }
  const auto& reply = std::get<wire::RoomSaidReply>(answer);
  const auto found = pendingOf_.find({reply.room, reply.id});
  if (found == pendingOf_.end()) return;
  const auto pending = pending_.find(found->second);
  const auto connection = pending->second.connection;
  if (sessions_.contains(connection)) fx.peers.push_back({{connection}, reply, {}});
  forgetPending(pending);
}

// --- telling

bool RoomHome::isClosed(const RoomName& name) const {
  const auto& log = disk_.log();
  if (lobbyOpensAt_ > 0) {
    const auto* all = log.find(lobby());
    if (!all || !all->rest().isOpened) return true;
  }
  if (name == lobby()) return false;
  const auto* room = log.find(name);
  return room && room->isClosed();
}

wire::RoomState RoomHome::stateOf(const RoomName& name) const {
  const auto* room = disk_.log().find(name);
  wire::RoomState state{name, members_.countOf(name), 0, !isClosed(name), {}};
  if (name == lobby()) {
    state.opensAt = lobbyOpensAt_;
  } else if (room) {
    state.opensAt = room->opensAt();
  }
  return state;
}

bool RoomHome::hasPeers(const RoomName& room) const {
  const auto number = numbers_.find(room);
  return number && !rooms_[*number].empty();
}

std::vector<ConnectionId> RoomHome::peersIn(const RoomName& room) const {
  std::vector<ConnectionId> peers;
  const auto number = numbers_.find(room);
  if (!number) return peers;
  peers.reserve(rooms_[*number].size());
  for (const auto slot : rooms_[*number]) peers.push_back(slots_[slot]);
  return peers;
}

// Says where the room is: who is not there asks.
void RoomHome::notify(const RoomName& name, RoomsEffects& fx) const {
  const auto* room = disk_.log().find(name);
  if (!hasPeers(name) || !room || isClosed(name)) return;
  wire::RoomMessages messages;
  messages.room = name;
  messages.after = room->placeAt(disk_.committed());
  fx.peers.push_back({peersIn(name), std::move(messages), {}});
}

// What was committed opens rooms, or is the first message of one without a gate.
void RoomHome::openRooms(RoomsEffects& fx) {
  const auto& texts = disk_.texts();
  bool isLobbyOpened = false;
  for (auto text = texts.upper_bound(disk_.deliveredUpTo());
       text != texts.end() && text->first <= disk_.committed(); ++text) {
    const auto& entry = text->second;
    const auto* room = disk_.log().find(entry.room);
    if (!room || room->rest().isOpened) continue;
    const bool isLobby = entry.room == lobby();
    const bool hasGate = isLobby ? lobbyOpensAt_ > 0 : room->opensAt() > 0;
    if (entry.kind == Kind::opened || (entry.kind == Kind::message && !hasGate)) {
      isLobbyOpened |= isLobby && hasGate;
      disk_.index().setOpened(entry.room, fx.writes);
    }
  }
  for (const auto& name : disk_.untold()) {
    const auto* room = disk_.log().find(name);
    const auto number = room ? room->numberOf(openedId()) : std::nullopt;
    if (!number || room->at(*number).position.sequence > disk_.committed()) continue;
    isLobbyOpened |= name == lobby() && isClosed(lobby());
    disk_.index().setOpened(name, fx.writes);
  }
  if (!isLobbyOpened) return;
  for (const auto& [name, number] : numbers_.all()) notify(name, fx);
}

void RoomHome::tellCommitted(RoomsEffects& fx) {
  if (disk_.deliveredUpTo() >= disk_.committed()) return;
  openRooms(fx);
  const auto& texts = disk_.texts();
  std::map<RoomName, wire::RoomMessages> runs;
  std::map<RoomName, std::size_t> bytes;
  const auto send = [&](const RoomName& name, wire::RoomMessages& run) {
    fx.peers.push_back({peersIn(name), std::exchange(run, {}), {}});
    bytes[name] = 0;
  };
  for (auto text = texts.upper_bound(disk_.deliveredUpTo());
       text != texts.end() && text->first <= disk_.committed(); ++text) {
    const auto& entry = text->second;
    const auto* room = disk_.log().find(entry.room);
    if (!room || !hasPeers(entry.room) || isClosed(entry.room)) continue;
    auto& run = runs[entry.room];
    const auto size = BatchFiller::bytesOf(entry);
    if (!run.entries.empty() && (bytes[entry.room] + size > limits::kRoomBatchBytes ||
                                 run.entries.size() >= limits::kRoomBatch)) {
      send(entry.room, run);
    }
    if (run.entries.empty()) {
      run.room = entry.room;
      run.after = room->placeAt(entry.position.sequence - 1);
    }
    bytes[entry.room] += size;
    run.entries.push_back(entry);
  }
  for (auto& [name, run] : runs) {
    if (!run.entries.empty()) send(name, run);
  }
  for (const auto& name : disk_.untold()) notify(name, fx);
  disk_.delivered(disk_.committed());
}

void RoomHome::tellMoved(const PeerId& who, const std::vector<RoomMembers::Change>& changes,
                         RoomsEffects& fx) {
  for (const auto& [name, isIn] : changes) {
    if (!hasPeers(name)) continue;
    const auto count = members_.countOf(name);
    if (isClosed(name) && count > limits::kRoomMembersTold) {
      statesDue_.insert(name);
    } else if (isClosed(name)) {
      fx.peers.push_back({peersIn(name), stateOf(name), {}});
    }
    if (name == lobby() || count > limits::kRoomMembersTold) continue;
    fx.peers.push_back({peersIn(name), wire::RoomMoved{name, who, isIn}, {}});
  }
}

void RoomHome::tellStates(RoomsEffects& fx) {
  for (const auto& name : std::exchange(statesDue_, {})) {
    if (hasPeers(name) && isClosed(name)) fx.peers.push_back({peersIn(name), stateOf(name), {}});
  }
}

// --- questions

void RoomHome::answer(ConnectionId connection, Session& session, const wire::RoomAsk& ask,
                      RoomsEffects& fx) const {
  wire::RoomMessages answer;
  answer.room = ask.room;
  answer.answers = ask.number;
  const auto* room = disk_.log().find(ask.room);
  answer.isClosed = isClosed(ask.room);
  const bool isLate = hasOpenedSince(session, ask);
  const auto to = std::vector<ConnectionId>{connection};
  if (!isIn(session, ask.room) || !room || answer.isClosed) {
    fx.peers.push_back({to, std::move(answer), {}});
    return;
  }
  const auto committed = room->placeAt(disk_.committed());
  if (isLate) {
    answer.isClosed = true;
    fx.peers.push_back({to, std::move(answer), {}});
    wire::RoomMessages open;  // and it asks for all that is there
    open.room = ask.room;
    open.after = committed;
    fx.peers.push_back({to, std::move(open), {}});
    return;
  }
  wire::RoomPlace from = committed;
  std::uint64_t known = 0;  // the number up to which the peer has everything
  if (ask.from == From::last) {
    const auto first = committed.number > ask.most ? committed.number - ask.most : 0;
    known = std::max(first, room->rest().last);
    from = known > room->rest().last ? wire::RoomPlace{room->at(known).position, known}
                                     : wire::RoomPlace{room->rest().before, room->rest().last};
  } else if (ask.from == From::now) {
    for (const auto& mark : disk_.log().marks()) {
      if (mark.sequence >= from.position.sequence) continue;
      answer.earlier.push_back({mark, room->numberAt(mark.sequence)});
      if (answer.earlier.size() == limits::kRoomPlaces) break;
    }
  } else {
    std::vector<wire::LogPosition> marks;
    for (const auto& place : ask.places) marks.push_back(place.position);
    const auto common = disk_.log().common(marks);
    from = room->placeAt(std::min(common.sequence, disk_.committed()));
    known = from.number;
    if (from.position.isZero() && room->rest().before.sequence > common.sequence) {
      // What lapsed meanwhile is told by its numbers.
      for (const auto& place : ask.places) {
        if (disk_.log().has(place.position)) known = std::max(known, place.number);
      }
      from = {room->rest().before, room->rest().last};
    }
  }
  answer.after = from;
  if (ask.from == From::places && from.number > known) {
    answer.missingFrom = known + 1;
    answer.missingTo = from.number;
  }
  std::optional<StoreRange> range;
  if (from.number < committed.number) {
    range = StoreRange{ask.room, from.position.sequence, disk_.committed()};
  }
  fx.peers.push_back({to, std::move(answer), std::move(range)});
}

}  // namespace espalier::metaserver::rooms
