#include "peer/core/rooms/room_views.h"

#include <algorithm>
#include <utility>

#include "common/base/text.h"

namespace espalier::peer {

using From = wire::RoomAsk::From;
using Kind = wire::RoomEntry::Kind;

namespace {

const RoomName& lobbyRoom() {
  static const RoomName name = *RoomName::parse(kLobby);
  return name;
}

bool isWordByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= 'a' && byte <= 'z') || byte == '_' || byte == '-';
}

// Whether the text has that id as a word.
bool names(const std::string& text, const std::string& id) {
  for (auto at = text.find(id); at != std::string::npos; at = text.find(id, at + 1)) {
    const auto end = at + id.size();
    if ((at == 0 || !isWordByte(text[at - 1])) && (end == text.size() || !isWordByte(text[end]))) {
      return true;
    }
  }
  return false;
}

}  // namespace

RoomViews::RoomViews(PeerId self, SpeakerId speaker, const Saved& saved, IsIgnored isIgnored)
    : self_(std::move(self)),
      speaker_(speaker),
      isIgnored_(std::move(isIgnored)),
      revision_(saved.revision) {
  add(lobbyRoom());
  for (const auto& one : saved.rooms) {
    if (!one.isJoined || rooms_.size() > limits::kRoomsOfPeer) continue;
    auto& room = add(one.room);
    room.saved = one;
    room.isUncertain = one.places.empty() && !one.fromFirst;
  }
  for (const auto& [name, ids] : saved.shown) {
    const auto room = rooms_.find(name);
    if (room == rooms_.end()) continue;
    for (const auto& id : ids) remember(room->second, id);
  }
}

RoomViews::Room& RoomViews::add(const RoomName& name) {
  auto& room = rooms_[name];
  room.saved.room = name;
  room.state.room = name;
  return room;
}

void RoomViews::remember(Room& room, const wire::RoomEntryId& id) {
  if (!room.shown.insert(id).second) return;
  room.order.push_back(id);
  if (room.order.size() > 2 * limits::kRoomMessages) {
    room.shown.erase(room.order.front());
    room.order.pop_front();
  }
}

// --- what the user wants

Result<void> RoomViews::join(const RoomName& name, std::uint32_t opensAt, TimePoint now,
                             RoomViewsEffects& fx) {
  if (rooms_.contains(name)) return {};
  if (rooms_.size() > limits::kRoomsOfPeer) {
    return Error{ErrorCode::refused, "a peer is in " + std::to_string(limits::kRoomsOfPeer) +
                                         " rooms at most: part from one of them first"};
  }
  auto& room = add(name);
  room.saved.opensAt = opensAt;
  fx.revision = ++revision_;
  fx.saves.push_back(room.saved);
  sendWanted(fx);
  ask(room, now, fx);
  return {};
}

Result<void> RoomViews::part(const RoomName& name, RoomViewsEffects& fx) {
  if (name == lobbyRoom()) return Error{ErrorCode::usage, "everybody is in the lobby"};
  const auto room = rooms_.find(name);
  if (room == rooms_.end()) return Error{ErrorCode::usage, "you are not in " + name.text()};
  auto saved = room->second.saved;
  saved.isJoined = false;
  rooms_.erase(room);
  fx.revision = ++revision_;
  fx.saves.push_back(std::move(saved));
  sendWanted(fx);
  return {};
}

Result<wire::RoomEntryId> RoomViews::say(const RoomName& name, std::string text,
                                         RoomViewsEffects& fx) {
  if (!rooms_.contains(name)) {
    return Error{ErrorCode::usage, "you are not in " + name.text() + ": join it first"};
  }
  if (text.empty() || text.size() > limits::kRoomTextBytes || !isUtf8(text)) {
    return Error{ErrorCode::usage,
                 "a message is 1 to " + std::to_string(limits::kRoomTextBytes) + " bytes of UTF-8"};
  }
  if (says_.size() >= limits::kRoomSays) {
    return Error{ErrorCode::refused, "too many messages wait to be acknowledged"};
  }
  says_.push_back({{name, {speaker_, ++counter_}, std::move(text)}});
  const auto id = says_.back().say.id;
  sendSays(fx);
  return id;
}

bool RoomViews::withdraw(const wire::RoomEntryId& id) {
  const auto say = std::ranges::find_if(says_, [&](const Say& one) { return one.say.id == id; });
  if (say == says_.end() || say->wasSent) return false;
  says_.erase(say);
  return true;
}

std::optional<std::uint64_t> RoomViews::history(const RoomName& name, std::uint32_t most,
                                                RoomViewsEffects& fx) {
  if (most == 0 || histories_.size() >= limits::kRoomHistories) return std::nullopt;
  const auto number = ++asks_;
  most = std::min(most, static_cast<std::uint32_t>(limits::kRoomMessages));
  auto& history = histories_[number] = {name, most, {}};
  if (hasHome_) askHistory(number, history, fx);
  return number;
}

// For the rest of it, if a part is there.
void RoomViews::askHistory(std::uint64_t number, OpenHistory& history, RoomViewsEffects& fx) const {
  wire::RoomAsk ask{history.room, number, From::last, {}, history.most};
  if (!history.entries.empty()) {
    const auto& last = history.entries.back();
    ask.from = From::places;
    ask.places = {{last.position, last.number}};
    ask.most = 0;
  }
  fx.sends.emplace_back(std::move(ask));
}

void RoomViews::read(const RoomName& name, RoomViewsEffects& fx) {
  const auto room = rooms_.find(name);
  if (room == rooms_.end() || room->second.saved.unread == 0) return;
  room->second.saved.unread = room->second.saved.naming = 0;
  fx.saves.push_back(room->second.saved);
}

// --- to the home

void RoomViews::homeBegan(TimePoint now, RoomViewsEffects& fx) {
  homeLost();
  hasHome_ = true;
  sendWanted(fx);
  auto& all = rooms_.at(lobbyRoom());
  // A later run is to know that this one was told.
  if (all.saved.places.empty() && !all.saved.fromFirst) fx.saves.push_back(all.saved);
  for (auto& [name, room] : rooms_) ask(room, now, fx);
  for (auto& [number, history] : histories_) {
    history.entries.clear();
    askHistory(number, history, fx);
  }
  sendSays(fx);
}

void RoomViews::homeLost() {
  hasHome_ = false;
  underWay_ = 0;
  for (auto& [name, room] : rooms_) {
    room.isUncertain |= room.asked > 0 && room.from == From::now;
    room.asked = 0;
  }
}

void RoomViews::sendWanted(RoomViewsEffects& fx) {
  if (!hasHome_) return;
  wire::RoomsWanted wanted{revision_, {}};
  for (const auto& [name, room] : rooms_) {
    if (name != lobbyRoom()) wanted.rooms.push_back({name, room.saved.opensAt});
  }
  fx.sends.emplace_back(std::move(wanted));
}

void RoomViews::sendSays(RoomViewsEffects& fx) {
  if (!hasHome_) return;
  for (; underWay_ < std::min(kSaysUnderWay, says_.size()); ++underWay_) {
    says_[underWay_].wasSent = true;
    fx.sends.emplace_back(says_[underWay_].say);
  }
}

void RoomViews::ask(Room& room, TimePoint now, RoomViewsEffects& fx) {
  if (!hasHome_ || room.asked > 0) return;
  room.asked = ++asks_;
  room.askUntil = now + limits::kRoomAskTimeout;
  const bool isNew = room.saved.places.empty() && !room.saved.fromFirst;
  room.from = isNew ? From::now : From::places;
  fx.sends.emplace_back(
      wire::RoomAsk{room.saved.room, room.asked, room.from, room.saved.places, 0});
}

void RoomViews::tick(TimePoint now, RoomViewsEffects& fx) {
  if (!hasHome_) return;
  for (auto& [name, room] : rooms_) {
    if (room.asked == 0 || now < room.askUntil) continue;
    room.asked = 0;
    ask(room, now, fx);
  }
}

TimePoint RoomViews::deadline() const {
  auto deadline = kNever;
  for (const auto& [name, room] : rooms_) {
    if (room.asked > 0) deadline = std::min(deadline, room.askUntil);
  }
  return deadline;
}

// --- from the home

void RoomViews::received(const wire::RoomReply& reply, TimePoint now, RoomViewsEffects& fx) {
  if (!hasHome_) return;
  if (const auto* messages = std::get_if<wire::RoomMessages>(&reply)) {
    take(*messages, now, fx);
  } else if (const auto* said = std::get_if<wire::RoomSaidReply>(&reply)) {
    take(*said, fx);
  } else if (const auto* state = std::get_if<wire::RoomState>(&reply)) {
    take(*state, fx);
  } else {
    take(std::get<wire::RoomMoved>(reply), fx);
  }
}

void RoomViews::take(const wire::RoomMessages& messages, TimePoint now, RoomViewsEffects& fx) {
  if (histories_.contains(messages.answers)) return takeHistory(messages, fx);
  const auto found = rooms_.find(messages.room);
  if (found == rooms_.end()) return;
  auto& room = found->second;
  auto& places = room.saved.places;
  const bool isAnswer = messages.answers > 0;
  // What is told while a question is under way is in its answer, or is asked for again.
  if (isAnswer ? messages.answers != room.asked : room.asked > 0) return;
  const bool wasNow = isAnswer && room.from == From::now;
  if (isAnswer) room.asked = 0;
  // It may have opened by this peer, at the home that was lost: what was kept is to be shown, too.
  const bool hasGate = room.state.opensAt > 0 || rooms_.at(lobbyRoom()).state.opensAt > 0;
  if (wasNow && !messages.isClosed && room.isUncertain && hasGate) {
    room.saved.fromFirst = true;
    fx.saves.push_back(room.saved);
    return ask(room, now, fx);
  }
  if (messages.isClosed) {
    if (!places.empty() || room.saved.fromFirst) return;
    room.saved.fromFirst = true;
    fx.saves.push_back(room.saved);
    return;
  }
  if (wasNow) {
    // From here on; a room without entries begins with its first one.
    room.saved.fromFirst = true;
    for (auto place = messages.earlier.rbegin(); place != messages.earlier.rend(); ++place) {
      note(room, *place);
    }
    if (!messages.after.position.isZero()) note(room, messages.after);
    room.saved.at = messages.after.position;
    fx.saves.push_back(room.saved);
    return;
  }
  if (!isAnswer && messages.after.position != room.saved.at) return ask(room, now, fx);
  if (!messages.entries.empty()) {
    if (messages.missingFrom > 0) {
      fx.missing.push_back({messages.room, messages.missingFrom, messages.missingTo,
                            room.saved.lastMs, messages.entries.front().atMs});
    }
    room.saved.at = messages.after.position;
    for (const auto& entry : messages.entries) append(room, entry, fx);
    fx.saves.push_back(room.saved);
  }
  if (messages.isMore && isAnswer && !messages.entries.empty()) ask(room, now, fx);
}

void RoomViews::takeHistory(const wire::RoomMessages& messages, RoomViewsEffects& fx) {
  const auto found = histories_.find(messages.answers);
  auto& history = found->second;
  if (history.room != messages.room) return;
  for (const auto& entry : messages.entries) {
    const bool isNext = entry.room == history.room && history.entries.size() < history.most &&
                        (history.entries.empty() ||
                         entry.position.sequence > history.entries.back().position.sequence);
    if (isNext) history.entries.push_back(entry);
  }
  const bool isWhole = history.entries.size() >= history.most;
  if (messages.isMore && !messages.entries.empty() && !isWhole) {
    return askHistory(found->first, history, fx);
  }
  fx.histories.push_back({found->first, std::move(history.entries), messages.isClosed});
  histories_.erase(found);
}

void RoomViews::note(Room& room, const wire::RoomPlace& place) {
  auto& places = room.saved.places;
  auto latest = place;
  std::erase_if(places, [&](const auto& one) {
    if (one.position.epoch != place.position.epoch) return false;
    if (one.position > latest.position) latest = one;
    return true;
  });
  places.insert(places.begin(), latest);
  if (places.size() > limits::kRoomPlaces) places.pop_back();
}

void RoomViews::append(Room& room, const wire::RoomEntry& entry, RoomViewsEffects& fx) {
  if (entry.room != room.saved.room || entry.position.sequence <= room.saved.at.sequence) return;
  room.saved.at = entry.position;
  room.saved.lastMs = entry.atMs;
  note(room, {entry.position, entry.number});
  if (room.shown.contains(entry.id)) return;
  remember(room, entry.id);
  if (entry.kind != Kind::message && entry.kind != Kind::opened) return;
  RoomViewsEffects::Show show{entry, entry.id.speaker == speaker_, false};
  if (entry.kind == Kind::message && !show.isOwn) {
    if (isIgnored_ && isIgnored_(entry.author)) return;
    show.namesUser = names(entry.text, self_.text());
    ++room.saved.unread;
    room.saved.naming += show.namesUser ? 1 : 0;
  }
  if (entry.kind == Kind::opened) room.state.isOpen = true;
  fx.shows.push_back(std::move(show));
}

void RoomViews::take(const wire::RoomSaidReply& reply, RoomViewsEffects& fx) {
  const auto sent = says_.begin() + static_cast<std::ptrdiff_t>(underWay_);
  const auto say = std::find_if(says_.begin(), sent, [&](const Say& one) {
    return one.say.id == reply.id && one.say.room == reply.room;
  });
  if (say == sent) return;
  says_.erase(say);
  --underWay_;
  fx.said.push_back(reply);
  sendSays(fx);
}

void RoomViews::take(const wire::RoomState& state, RoomViewsEffects& fx) {
  const auto room = rooms_.find(state.room);
  if (room == rooms_.end()) return;
  room->second.state = state;
  // Nobody is told who comes into the lobby, and the home told this before it counted this peer.
  if (state.room == lobbyRoom() && state.isOpen) {
    auto& members = room->second.state.members;
    members = std::max<std::uint64_t>(members, 1);
  }
  fx.states.push_back(state);
  if (state.refused.empty() || state.room == lobbyRoom()) return;
  auto saved = room->second.saved;
  saved.isJoined = false;
  rooms_.erase(room);
  fx.revision = ++revision_;
  fx.saves.push_back(std::move(saved));
  sendWanted(fx);
}

// The number of members was told when this peer came; from then on each of them is. Of a closed
// room the number is told each time.
void RoomViews::take(const wire::RoomMoved& moved, RoomViewsEffects& fx) {
  const auto room = rooms_.find(moved.room);
  if (room == rooms_.end()) return;
  auto& members = room->second.state.members;
  if (!room->second.state.isOpen) {
    // It was counted.
  } else if (moved.isIn) {
    ++members;
  } else if (members > 0) {
    --members;
  }
  if (moved.who != self_) {
    fx.moved.push_back(moved);
  } else if (moved.isIn) {
    fx.entered.push_back(moved.room);
  }
}

std::vector<RoomViews::Row> RoomViews::rows() const {
  std::vector<Row> rows;
  for (const auto& [name, room] : rooms_) {
    rows.push_back({name, room.saved.unread, room.saved.naming, room.state});
  }
  return rows;
}

}  // namespace espalier::peer
