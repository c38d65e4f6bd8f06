#include "metaserver/core/rooms/room_log.h"

#include <algorithm>
#include <tuple>

#include "common/base/limits.h"

namespace espalier::metaserver::rooms {

using Kind = wire::RoomEntry::Kind;

const RoomName& lobby() {
  static const RoomName name = *RoomName::parse("lobby");
  return name;
}

wire::RoomEntryId openedId() {
  return {SpeakerId{}, 1};
}

wire::RoomEntryId madeId(std::uint32_t opensAt) {
  return {SpeakerId{}, opensAt};
}

// --- a room

std::optional<std::uint64_t> IndexedRoom::numberOf(const wire::RoomEntryId& id) const {
  const auto found = numbers_.find(id);
  if (found == numbers_.end()) return std::nullopt;
  return found->second;
}

wire::RoomPlace IndexedRoom::placeAt(std::uint64_t sequence) const {
  const auto behind = std::upper_bound(
      entries_.begin(), entries_.end(), sequence,
      [](std::uint64_t one, const auto& entry) { return one < entry.position.sequence; });
  if (behind == entries_.begin()) {
    if (rest_.before.sequence > sequence) return {};
    return {rest_.before, rest_.last};
  }
  const auto index = static_cast<std::uint64_t>(behind - entries_.begin());
  return {std::prev(behind)->position, rest_.last + index};
}

std::uint32_t IndexedRoom::opensAt() const {
  // Messages came first: it never had a gate, whatever another side says.
  if (rest_.last == 0 && !entries_.empty() && entries_.front().kind == Kind::message) return 0;
  std::uint32_t least = rest_.opensAt;
  for (const auto& entry : entries_) {
    if (entry.kind == Kind::message && least == 0) return 0;
    if (entry.kind == Kind::made && (least == 0 || entry.opensAt < least)) least = entry.opensAt;
  }
  return least;
}

wire::RoomEntryId endedId() {
  return {SpeakerId{}, limits::kMembers + 1};
}

// --- the log

RoomLog::RoomLog(const Stored& stored) {
  Writes none;  // all of it is on the disk
  for (const auto& rest : stored.rests) roomOf(rest.room).rest_ = rest;
  epochs_ = stored.epochs;
  for (const auto& rest : stored.ended) ended_.emplace(rest.before.sequence, rest);
  for (const auto& [entry, bytes] : stored.log) index(entry, bytes, none);
  if (stored.last.sequence > last_.sequence) {
    last_ = stored.last;
    noteEpoch(last_, none);
  }
  for (const auto& entry : stored.apart) {
    const auto* room = find(entry.room);
    if (!room || !room->numberOf(entry.id)) apart_.emplace(entry.room, entry.id);
  }
}

IndexedRoom& RoomLog::roomOf(const RoomName& name) {
  auto& room = rooms_[name];
  room.rest_.room = name;
  return room;
}

void RoomLog::noteEpoch(const wire::LogPosition& position, Writes& writes) {
  if (!epochs_.empty()) {
    auto& latest = epochs_.back();
    if (position.sequence <= latest.sequence) return;  // at a start: it has ended since
    if (latest.epoch == position.epoch) {
      latest = position;
      return;
    }
    writes.emplace_back(StoreEpoch{latest});
  }
  epochs_.push_back(position);
  if (epochs_.size() > limits::kRoomEpochs) epochs_.erase(epochs_.begin());
}

void RoomLog::takeEnded(const std::vector<wire::LogPosition>& ended, Writes& writes) {
  for (const auto& position : ended) {
    const auto behind =
        std::upper_bound(epochs_.begin(), epochs_.end(), position,
                         [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
    if (behind == epochs_.end() || behind->epoch < position.epoch) continue;
    const auto known = std::find_if(epochs_.begin(), epochs_.end(),
                                    [&](const auto& one) { return one.epoch == position.epoch; });
    if (known == epochs_.end()) {
      epochs_.insert(behind, position);
    } else if (known->sequence < position.sequence) {
      *known = position;
    } else {
      continue;
    }
    writes.emplace_back(StoreEpoch{position});
  }
  while (epochs_.size() > limits::kRoomEpochs) epochs_.erase(epochs_.begin());
}

std::vector<wire::LogPosition> RoomLog::endedBetween(std::uint64_t after,
                                                     std::uint64_t upTo) const {
  std::vector<wire::LogPosition> ended;
  for (const auto& position : epochs_) {
    if (position.sequence > after && position.sequence < upTo) ended.push_back(position);
  }
  return ended;
}

bool RoomLog::index(const wire::RoomEntry& entry, std::uint32_t bytes, Writes& writes) {
  const auto& position = entry.position;
  if (position.sequence <= last_.sequence || position.epoch < last_.epoch) return false;
  const auto* there = find(entry.room);
  if (entry.number == 1 && there && there->lastNumber() > 0) forget(entry.room, writes);
  auto& room = roomOf(entry.room);
  auto& rest = room.rest_;
  const auto before = rest;
  if (const auto known = room.numberOf(entry.id)) {
    // The master says it again, so it does not keep any more what is up to there.
    while (rest.last < *known) popFront(room);
  }
  if (entry.number != room.lastNumber() + 1) {
    // The master does not keep its first entries.
    if (!room.entries_.empty()) return false;
    rest.before = last_;
    rest.last = entry.number - 1;
    // Or it has not heard that the room has ended: the gate is that of before.
    if (const auto* ended = there ? nullptr : endOf(entry.room)) {
      rest.opensAt = ended->opensAt;
      rest.isOpened = ended->isOpened;
    }
  }
  if (!(rest == before)) writes.emplace_back(StoreRest{rest});
  room.entries_.push_back(
      {position, entry.atMs, entry.id, bytes, entry.opensAt, entry.kind, entry.isApart});
  room.numbers_.emplace(entry.id, entry.number);
  bytes_ += bytes;
  last_ = position;
  noteEpoch(position, writes);
  return true;
}

bool RoomLog::append(const wire::RoomEntry& entry, Writes& writes) {
  if (!index(entry, static_cast<std::uint32_t>(entry.text.size()), writes)) return false;
  writes.emplace_back(StoreAppend{entry});
  if (apart_.erase({entry.room, entry.id}) > 0) {
    writes.emplace_back(StoreDropApart{entry.room, entry.id});
  }
  return true;
}

void RoomLog::takeRest(const wire::RoomRest& rest, Writes& writes) {
  auto& room = roomOf(rest.room);
  auto& own = room.rest_;
  const auto before = own;
  if (rest.before.sequence > own.before.sequence) {
    const auto& all = room.entries_;
    const auto upTo = rest.before.sequence;
    while (!all.empty() && all.front().position.sequence <= upTo) popFront(room);
    // The master may count anew, if it had lost what lapsed: behind all that is here.
    const bool isBehindAll = all.empty() || rest.last == own.last;
    if (isBehindAll) std::tie(own.last, own.before) = std::tie(rest.last, rest.before);
  }
  if (rest.opensAt > 0 && (own.opensAt == 0 || rest.opensAt < own.opensAt)) {
    own.opensAt = rest.opensAt;
  }
  own.isOpened |= rest.isOpened;
  if (!(own == before)) writes.emplace_back(StoreRest{own});
}

void RoomLog::popFront(IndexedRoom& room) {
  const auto& entry = room.entries_.front();
  auto& rest = room.rest_;
  rest.before = entry.position;
  ++rest.last;
  if (entry.kind == Kind::made && (rest.opensAt == 0 || entry.opensAt < rest.opensAt)) {
    rest.opensAt = entry.opensAt;
  }
  bytes_ -= entry.bytes;
  room.numbers_.erase(entry.id);
  room.entries_.pop_front();
}

// Rooms that ended behind that sequence have not ended in the log that takes the place of this one.
// Their entries are gone as if they had lapsed; a gate that nobody knows any more would be open.
void RoomLog::revive(std::uint64_t sequence, Writes& writes) {
  // One that ended twice has the gate of before the first end. What was opened stays open.
  while (!ended_.empty() && ended_.rbegin()->first > sequence) {
    const auto& ended = ended_.rbegin()->second;
    auto& rest = roomOf(ended.room).rest_;
    rest.opensAt = ended.opensAt;
    rest.isOpened |= ended.isOpened;
    writes.emplace_back(StoreRest{rest});
    ended_.erase(std::prev(ended_.end()));
  }
}

void RoomLog::truncate(const wire::LogPosition& last, Writes& writes) {
  if (last_.sequence <= last.sequence) return;
  for (auto& [name, room] : rooms_) {
    const auto opensAt = room.opensAt();
    while (!room.entries_.empty() && room.entries_.back().position.sequence > last.sequence) {
      const auto& entry = room.entries_.back();
      apart_.emplace(name, entry.id);
      room.numbers_.erase(entry.id);
      bytes_ -= entry.bytes;
      room.entries_.pop_back();
    }
    auto& rest = room.rest_;
    const auto before = rest;
    // It stays closed although its first entry is apart.
    if (opensAt > 0 && room.opensAt() != opensAt) rest.opensAt = opensAt;
    // What is not kept any more was on the other side, too.
    if (rest.before.sequence > last.sequence) {
      rest.before = {};
      rest.last = 0;
    }
    if (!(rest == before)) writes.emplace_back(StoreRest{rest});
  }
  revive(last.sequence, writes);
  last_ = last;
  while (!epochs_.empty() && epochs_.back().sequence > last.sequence) {
    if (epochs_.back().epoch == last.epoch) {
      epochs_.back() = last;
      break;
    }
    epochs_.pop_back();
  }
  writes.emplace_back(StoreEnd{last_});
}

void RoomLog::advance(const wire::LogPosition& last, Writes& writes) {
  if (last.sequence <= last_.sequence || last.epoch < last_.epoch) return;
  last_ = last;
  noteEpoch(last_, writes);
  writes.emplace_back(StoreEnd{last_});
}

void RoomLog::lapse(const RoomName& name, std::uint64_t number, Writes& writes) {
  const auto found = rooms_.find(name);
  if (found == rooms_.end()) return;
  auto& room = found->second;
  const auto before = room.rest_.last;
  while (!room.entries_.empty() && room.rest_.last < number) popFront(room);
  if (room.rest_.last > before) writes.emplace_back(StoreRest{room.rest_});
}

void RoomLog::dropApart(const std::vector<wire::RoomKnown>& known, Writes& writes) {
  for (const auto& [room, id] : known) {
    if (apart_.erase({room, id}) > 0) writes.emplace_back(StoreDropApart{room, id});
  }
}

void RoomLog::setOpened(const RoomName& name, Writes& writes) {
  auto& rest = roomOf(name).rest_;
  if (rest.isOpened) return;
  rest.isOpened = true;
  writes.emplace_back(StoreRest{rest});
}

void RoomLog::forget(const RoomName& name, Writes& writes) {
  const auto found = rooms_.find(name);
  if (found == rooms_.end()) return;
  auto& room = found->second;
  const auto opensAt = room.opensAt();
  while (!room.entries_.empty()) popFront(room);
  auto& rest = room.rest_;
  rest.opensAt = opensAt;
  writes.emplace_back(StoreRest{rest});
  const bool isNoted = opensAt > 0 || endOf(name);  // also that a later one had no gate
  writes.emplace_back(StoreForget{name, isNoted});
  if (isNoted) {
    ended_.insert_or_assign(rest.before.sequence, rest);
    if (ended_.size() > limits::kRooms) ended_.erase(ended_.begin());
  }
  rooms_.erase(found);
}

// --- queries

bool RoomLog::has(const wire::LogPosition& position) const {
  if (position.isZero()) return true;
  const auto found =
      std::find_if(epochs_.rbegin(), epochs_.rend(),
                   [&](const wire::LogPosition& one) { return one.epoch == position.epoch; });
  return found != epochs_.rend() && position.sequence <= found->sequence;
}

wire::LogPosition RoomLog::common(std::span<const wire::LogPosition> marks) const {
  wire::LogPosition common;
  for (const auto& mark : marks) {
    for (const auto& own : epochs_) {
      if (own.epoch != mark.epoch) continue;
      const auto& both = mark.sequence < own.sequence ? mark : own;
      if (both.sequence > common.sequence) common = both;
    }
  }
  return common;
}

std::vector<wire::LogPosition> RoomLog::marks() const {
  const auto count = std::min(epochs_.size(), limits::kRoomMarks);
  return {epochs_.rbegin(), epochs_.rbegin() + static_cast<std::ptrdiff_t>(count)};
}

const IndexedRoom* RoomLog::find(const RoomName& name) const {
  const auto found = rooms_.find(name);
  return found == rooms_.end() ? nullptr : &found->second;
}

Result<void> RoomLog::checkInvariants() const {
  const auto fail = [](const std::string& what) { return Error{ErrorCode::failed, what}; };
  std::uint64_t bytes = 0;
  for (const auto& [name, room] : rooms_) {
    const IndexedEntry* before = nullptr;
    auto number = room.rest_.last;
    for (const auto& entry : room.entries_) {
      ++number;
      bytes += entry.bytes;
      if (entry.position.sequence <= room.rest_.before.sequence ||
          (before && (entry.position.sequence <= before->position.sequence ||
                      entry.position.epoch < before->position.epoch))) {
        return fail("positions do not rise in " + name.text());
      }
      if (entry.position.sequence > last_.sequence) return fail("an entry behind the last one");
      if (room.numberOf(entry.id) != number) return fail("a wrong number in " + name.text());
      if (apart_.contains({name, entry.id})) return fail("an entry is also apart: " + name.text());
      before = &entry;
    }
    if (room.numbers_.size() != room.entries_.size()) return fail("numbers of what is gone");
  }
  if (bytes != bytes_) return fail("bytes are counted wrongly");
  return {};
}

}  // namespace espalier::metaserver::rooms
