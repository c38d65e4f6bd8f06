#include "metaserver/core/rooms/room_master.h"

#include <algorithm>

#include "common/base/limits.h"

namespace espalier::metaserver::rooms {

using Kind = wire::RoomEntry::Kind;

void RoomMaster::begin(Epoch epoch, Servers others, TimePoint now, RoomsEffects& fx) {
  end();
  state_ = State::gathering;
  epoch_ = epoch;
  others_ = std::move(others);
  gatherUntil_ = now + limits::kRoomGather;
  for (const auto other : others_) ask(other, fx);
  gather(now, fx);
}

void RoomMaster::end() {
  state_ = State::idle;
  gathered_.clear();
  source_.reset();
  hasGrown_ = false;
  held_.clear();
  have_.clear();
  waiting_.clear();
  unsent_.clear();
  made_.clear();
  beatAt_ = kNever;
}

void RoomMaster::setOthers(Servers others, TimePoint now, RoomsEffects& fx) {
  if (isIdle() || others == others_) return;
  for (const auto other : others_) {
    if (others.contains(other)) continue;
    have_.erase(other);
    gathered_.erase(other);
    if (source_ == other) source_.reset();
  }
  const auto before = std::exchange(others_, std::move(others));
  if (isGathering()) {
    for (const auto other : others_) {
      if (!before.contains(other)) ask(other, fx);
    }
    gather(now, fx);
    return;
  }
  sendPosition(fx);
}

// --- gathering

void RoomMaster::ask(ServerNumber other, RoomsEffects& fx) {
  auto& gathered = gathered_[other];
  gathered.asked = ++asks_;
  gathered.answer.reset();
  fx.messages.push_back({other, wire::RoomPull{epoch_, asks_, disk_.log().marks()}, {}});
}

void RoomMaster::received(ServerNumber from, const wire::RoomEntries& answer, TimePoint now,
                          RoomsEffects& fx) {
  const auto found = gathered_.find(from);
  if (!isGathering() || answer.epoch != epoch_ || found == gathered_.end()) return;
  if (answer.answers == 0 || answer.answers != found->second.asked) return;
  found->second.asked = 0;
  found->second.answer = answer;
  gather(now, fx);
}

void RoomMaster::gather(TimePoint now, RoomsEffects& fx) {
  if (disk_.isBehind()) return;  // tick() goes on
  if (now < gatherUntil_ || source_) {
    for (const auto& [other, gathered] : gathered_) {
      if (gathered.asked > 0 && (!source_ || source_ == other)) return;
    }
  }
  // Of the logs that go on where this one ends, the one with the latest end.
  auto best = gathered_.end();
  for (auto one = gathered_.begin(); one != gathered_.end(); ++one) {
    const auto& answer = one->second.answer;
    if (!answer || answer->after != disk_.log().last() || answer->upTo.epoch > epoch_) continue;
    if (answer->upTo.sequence <= answer->after.sequence) continue;
    if (best == gathered_.end() || answer->last > best->second.answer->last) best = one;
  }
  if (best != gathered_.end()) {
    const auto answer = *std::move(best->second.answer);
    best->second.answer.reset();
    bool fits = true;
    for (const auto& rest : answer.rests) disk_.index().takeRest(rest, fx.writes);
    for (const auto& entry : answer.entries) fits = fits && disk_.append(entry, fx);
    if (fits) {
      disk_.index().advance(answer.upTo, fx.writes);
      disk_.index().takeEnded(answer.ended, fx.writes);
      hasGrown_ = true;
      source_ = best->first;
      gatherUntil_ = now + limits::kRoomGather;
      return ask(best->first, fx);
    }
    fx.notices.push_back(
        "the log of rooms of another metaserver does not fit to its own positions");
  }
  source_.reset();
  if (std::exchange(hasGrown_, false)) {
    gatherUntil_ = now + limits::kRoomGather;
    for (auto& [other, gathered] : gathered_) ask(other, fx);
    if (!gathered_.empty()) return;
  }
  serve(now, fx);
}

void RoomMaster::serve(TimePoint now, RoomsEffects& fx) {
  state_ = State::serving;
  gathered_.clear();
  sentUpTo_ = disk_.log().last();
  committedSent_ = disk_.committed();
  beatAt_ = now + limits::kRoomBeat;
  endsFrom_ = now + 2 * limits::kAwayWait;  // until then homes tell who is in which room
  sendPosition(fx);
  auto held = std::move(held_);
  held_.clear();
  std::vector<wire::RoomEntry> gates;
  for (const auto& [name, room] : disk_.log().rooms()) {
    if (auto gate = lackedGate(room, lobbyOpensAt_)) gates.push_back(*std::move(gate));
  }
  for (auto& gate : gates) append(std::move(gate), fx);
  for (auto& [home, message] : held) passed(home, std::move(message), fx);
  std::vector<RoomName> closed{lobby()};
  for (const auto& [name, room] : disk_.log().rooms()) {
    if (room.isClosed()) closed.push_back(name);
  }
  for (const auto& name : closed) openGate(name, fx);
}

// --- serving

void RoomMaster::passed(ServerNumber home, wire::RoomPassed message, RoomsEffects& fx) {
  if (isIdle()) return;
  const bool isFull = isFailing_ || disk_.isBehind() ||
                      (isGathering() ? held_.size() >= limits::kRoomSaysHeld
                                     : waiting_.size() >= limits::kRoomWaiting);
  const auto* said = std::get_if<wire::RoomSaid>(&message);
  if (isFull && said) {
    wire::RoomSaidReply reply{said->say.room, said->say.id, 0, epoch_, 0, {}, 0, {}};
    reply.code = ErrorCode::refused;
    reply.waitMs = 1000;
    reply.why = isFailing_ ? "the disk of the metaserver that decides takes nothing"
                           : "the metaservers have more to write than their disks take";
    fx.toHomes.emplace_back(home, std::move(reply));
  } else if (isGathering()) {
    held_.emplace_back(home, std::move(message));
  } else {
    std::visit([&](const auto& one) { take(home, one, fx); }, message);
  }
}

void RoomMaster::take(ServerNumber home, const wire::RoomSaid& said, RoomsEffects& fx) {
  const auto& say = said.say;
  if (const auto* room = disk_.log().find(say.room)) {
    if (const auto number = room->numberOf(say.id)) {
      // Answered with the next flush, if this master knows already where it is stored.
      const auto& position = room->at(*number).position;
      waiting_.emplace(position.sequence, Waiting{home, say.room, say.id, *number, position.epoch});
      return;
    }
  }
  make(say.room, said.opensAt, fx);
  wire::RoomEntry entry;
  entry.room = say.room;
  entry.id = say.id;
  entry.atMs = said.atMs;
  entry.author = said.author;
  entry.text = say.text;
  append(std::move(entry), fx);
  const auto& room = *disk_.log().find(say.room);
  waiting_.emplace(disk_.log().last().sequence,
                   Waiting{home, say.room, say.id, room.lastNumber(), epoch_});
}

void RoomMaster::take(ServerNumber home, const wire::MemberRooms& rooms, RoomsEffects& fx) {
  RoomsEffects::RoomsOfMember member{rooms.member, rooms.wanted.revision, {}};
  for (const auto& wanted : rooms.wanted.rooms) {
    if (isNew(wanted.room) && members_.countOf(wanted.room) == 0 && isFull()) {
      fx.toHomes.emplace_back(
          home, wire::RoomRefused{rooms.member, wanted.room, "there are 1,000 rooms already"});
      continue;
    }
    make(wanted.room, wanted.opensAt, fx);
    member.rooms.push_back(wanted.room);
  }
  fx.members.push_back(std::move(member));
}

bool RoomMaster::isNew(const RoomName& room) const {
  if (room == lobby()) return false;
  const auto* known = disk_.log().find(room);
  return !known || known->hasEnded();
}

void RoomMaster::make(const RoomName& room, std::uint32_t opensAt, RoomsEffects& fx) {
  if (opensAt > 1 && isNew(room)) append(madeEntry(room, opensAt), fx);
}

void RoomMaster::endRoom(const RoomName& room, RoomsEffects& fx) {
  if (!isServing() || now_ < endsFrom_) return;
  wire::RoomEntry ended;
  ended.room = room;
  ended.id = endedId();
  ended.kind = Kind::ended;
  append(std::move(ended), fx);
}

bool RoomMaster::isFull() const {
  const auto& rooms = disk_.log().rooms();
  const auto others = std::count_if(members_.rooms().begin(), members_.rooms().end(),
                                    [&](const auto& one) { return !rooms.contains(one.first); });
  return rooms.size() + static_cast<std::size_t>(others) >= limits::kRooms;
}

void RoomMaster::received(ServerNumber from, const wire::RoomApart& apart, RoomsEffects& fx) {
  if (!isServing() || apart.epoch != epoch_) return;
  std::vector<wire::RoomKnown> known;
  for (auto entry : apart.entries) {
    const auto* room = disk_.log().find(entry.room);
    const bool isThere = room && !room->hasEnded();
    if (const auto number = isThere ? room->numberOf(entry.id) : std::nullopt) {
      if (room->at(*number).position.sequence <= disk_.committed()) {
        known.push_back({entry.room, entry.id});
      }
      continue;
    }
    const bool isFull =
        isFailing_ || disk_.isBehind() || waiting_.size() + unsent_.size() >= limits::kRoomWaiting;
    if (isFull) break;  // they come again
    entry.isApart = true;
    append(std::move(entry), fx);
  }
  if (known.empty()) return;
  if (!others_.contains(from)) return disk_.index().dropApart(known, fx.writes);
  auto position = message(sentUpTo_);
  position.known = std::move(known);
  fx.messages.push_back({from, std::move(position), {}});
}

void RoomMaster::openGate(const RoomName& name, RoomsEffects& fx) {
  if (!isServing()) return;
  const auto* room = disk_.log().find(name);
  const bool isLobby = name == lobby();
  if (!isLobby && (!room || !room->isClosed() || room->hasEnded())) return;
  if (isLobby && (lobbyOpensAt_ == 0 || (room && room->rest().isOpened))) return;
  if (room && room->numberOf(openedId())) return;
  const auto opensAt = isLobby ? lobbyOpensAt_ : room->opensAt();
  if (members_.countOf(name) >= opensAt) append(openedEntry(name), fx);
}

void RoomMaster::append(wire::RoomEntry entry, RoomsEffects& fx) {
  const auto& log = disk_.log();
  const auto* room = log.find(entry.room);
  entry.number = room && !room->hasEnded() ? room->lastNumber() + 1 : 1;
  if (entry.atMs == 0) entry.atMs = wallMs_;
  entry.position = {epoch_, log.last().sequence + 1};
  if (!disk_.append(entry, fx)) return;
  if (entry.kind == Kind::made) made_.insert(entry.room);
  unsent_.push_back(std::move(entry));
}

// --- what is stored

void RoomMaster::received(ServerNumber from, const wire::RoomHave& have) {
  if (!isServing() || have.epoch != epoch_ || !others_.contains(from)) return;
  have_[from] = {have.sequence, have.isFailing};
}

std::uint32_t RoomMaster::storedAt(std::uint64_t sequence) const {
  const auto count = std::count_if(have_.begin(), have_.end(), [&](const auto& other) {
    return !other.second.isFailing && other.second.sequence >= sequence;
  });
  return 1 + static_cast<std::uint32_t>(count);
}

void RoomMaster::commit(RoomsEffects& fx) {
  bool isAlone = true;
  std::uint64_t elsewhere = 0;
  for (const auto other : others_) {
    const auto found = have_.find(other);
    if (found != have_.end() && found->second.isFailing) continue;
    isAlone = false;
    if (found != have_.end()) elsewhere = std::max(elsewhere, found->second.sequence);
  }
  const auto upTo = isAlone ? disk_.durable() : std::min(disk_.durable(), elsewhere);
  disk_.commit(upTo);
  const auto end = waiting_.upper_bound(upTo);
  for (auto waiting = waiting_.begin(); waiting != end; ++waiting) {
    const auto& [home, room, id, number, epoch] = waiting->second;
    wire::RoomSaidReply reply{room, id, number, epoch, storedAt(waiting->first), {}, 0, {}};
    fx.toHomes.emplace_back(home, std::move(reply));
  }
  waiting_.erase(waiting_.begin(), end);
}

// --- what is sent

wire::RoomEntries RoomMaster::message(const wire::LogPosition& after) const {
  wire::RoomEntries message;
  message.epoch = epoch_;
  message.after = after;
  message.upTo = message.last = sentUpTo_;  // what was not sent yet is told with its entries
  message.committed = disk_.committed();
  return message;
}

void RoomMaster::sendPosition(RoomsEffects& fx) const {
  for (const auto other : others_) fx.messages.push_back({other, message(sentUpTo_), {}});
}

void RoomMaster::flush(RoomsEffects& fx) {
  if (!isServing()) return;
  for (const auto& room : std::exchange(made_, {})) openGate(room, fx);
  commit(fx);
  if (unsent_.empty()) {
    if (committedSent_ < disk_.committed()) sendPosition(fx);
    committedSent_ = disk_.committed();
    return;
  }
  std::vector<wire::RoomEntries> batches;
  BatchFiller filler;
  const auto finish = [&](const wire::LogPosition& upTo) {
    auto batch = message(sentUpTo_);
    filler.finish(batch);
    batch.upTo = upTo;
    batch.last = disk_.log().last();
    sentUpTo_ = upTo;
    batches.push_back(std::move(batch));
    filler = {};
  };
  wire::LogPosition before;
  for (const auto& entry : unsent_) {
    if (!filler.add(entry)) {
      finish(before);
      filler.add(entry);
    }
    before = entry.position;
  }
  finish(before);
  unsent_.clear();
  for (const auto other : others_) {
    for (const auto& batch : batches) fx.messages.push_back({other, batch, {}});
  }
  committedSent_ = disk_.committed();
}

void RoomMaster::tick(TimePoint now, RoomsEffects& fx) {
  now_ = now;
  if (isGathering() && now >= gatherUntil_) {
    if (disk_.isBehind()) {
      gatherUntil_ = now + limits::kRoomGather;
      return;
    }
    if (source_ && gathered_[*source_].asked > 0) {
      gathered_.erase(*source_);
      source_.reset();
    }
    gather(now, fx);
  }
  if (isServing() && now >= beatAt_) {
    beatAt_ = now + limits::kRoomBeat;
    sendPosition(fx);
  }
}

TimePoint RoomMaster::deadline() const {
  if (isGathering()) return gatherUntil_;
  return isServing() ? beatAt_ : kNever;
}

}  // namespace espalier::metaserver::rooms
