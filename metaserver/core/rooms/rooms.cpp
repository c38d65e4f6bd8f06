#include "metaserver/core/rooms/rooms.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace espalier::metaserver::rooms {

using Kind = wire::RoomEntry::Kind;

namespace {

constexpr auto kLapseEvery = std::chrono::seconds(1);  // tuning
// Of a room in one step, so that the rooms of the oldest messages give room by and by: tuning.
constexpr std::size_t kLapsePart = 16;

}  // namespace

// --- who decides

void Rooms::decide(Epoch epoch, std::set<ServerNumber> others, TimePoint now, RoomsEffects& fx) {
  if (epoch < disk_.log().last().epoch || epoch < copy_.epoch()) {
    fx.needsEpoch = std::max(disk_.log().last().epoch, copy_.epoch());
    return;
  }
  others.erase(options_.self);
  copy_.leave();
  copy_.seen(epoch);
  home_.masterLost(false, fx);
  isStreamOpen_ = false;
  wasServing_ = false;
  apartAt_ = now;
  master_.begin(epoch, std::move(others), now, fx);
  finish(now, fx);
}

void Rooms::setOthers(std::set<ServerNumber> others, TimePoint now, RoomsEffects& fx) {
  others.erase(options_.self);
  master_.setOthers(std::move(others), now, fx);
  finish(now, fx);
}

void Rooms::follow(ServerNumber master, Epoch epoch, TimePoint now, RoomsEffects& fx) {
  if (epoch < copy_.epoch()) return;
  if (!copy_.isFollowing() || epoch != copy_.epoch()) {
    home_.masterLost(false, fx);
    isStreamOpen_ = false;
  }
  master_.end();
  copy_.follow(master, epoch, now);
  finish(now, fx);
}

void Rooms::leaderless(bool refuses, TimePoint now, RoomsEffects& fx) {
  master_.end();
  copy_.leave();
  isStreamOpen_ = false;
  home_.masterLost(refuses, fx);
  finish(now, fx);
}

void Rooms::masterBegan(TimePoint now, RoomsEffects& fx) {
  if (!master_.isIdle()) return;
  isStreamOpen_ = true;
  home_.masterBegan();
  finish(now, fx);
}

// --- from metaservers

void Rooms::received(ServerNumber from, const wire::RoomServerMessage& message, TimePoint now,
                     RoomsEffects& fx) {
  if (const auto* entries = std::get_if<wire::RoomEntries>(&message)) {
    if (master_.isIdle()) {
      copy_.received(from, *entries, now, fx);
      // A master that does not know that its epoch is over.
      if (entries->epoch < copy_.epoch() && entries->answers == 0) {
        fx.messages.push_back({from, wire::RoomHave{copy_.epoch(), 0, false}, {}});
      }
    } else {
      master_.received(from, *entries, now, fx);
    }
  } else if (const auto* pull = std::get_if<wire::RoomPull>(&message)) {
    answerPull(from, *pull, now, fx);
  } else if (const auto* have = std::get_if<wire::RoomHave>(&message)) {
    if (!master_.isIdle() && have->epoch > master_.epoch()) fx.needsEpoch = have->epoch;
    master_.received(from, *have);
  } else {
    master_.received(from, std::get<wire::RoomApart>(message), fx);
  }
  finish(now, fx);
}

void Rooms::answerPull(ServerNumber from, const wire::RoomPull& pull, TimePoint now,
                       RoomsEffects& fx) {
  const bool isMine = !master_.isIdle() && pull.epoch == master_.epoch();
  if (isMine && !master_.isServing()) return;  // it does not know yet what its log is
  if (!isMine) {
    if (pull.epoch < copy_.epoch()) return;
    if (!master_.isIdle()) {  // somebody else decides by now
      leaderless(false, now, fx);
      fx.needsEpoch = pull.epoch;
    }
    copy_.seen(pull.epoch);
  }
  const auto& log = disk_.log();
  wire::RoomEntries answer;
  answer.epoch = pull.epoch;
  answer.answers = pull.number;
  answer.after = log.common(pull.marks);
  answer.upTo = answer.last = log.last();
  if (isMine) answer.committed = disk_.committed();
  for (const auto& [name, room] : log.rooms()) {
    if (room.rest().before.sequence > answer.after.sequence) answer.rests.push_back(room.rest());
  }
  if (answer.rests.size() > limits::kRoomRests) {
    std::sort(answer.rests.begin(), answer.rests.end(),
              [](const auto& a, const auto& b) { return a.before.sequence < b.before.sequence; });
    answer.rests.resize(limits::kRoomRests);
    answer.upTo = answer.rests.back().before;
  }
  answer.ended = log.endedBetween(answer.after.sequence, answer.upTo.sequence);
  std::optional<StoreRange> range;
  if (answer.after.sequence < answer.upTo.sequence) {
    range = StoreRange{{}, answer.after.sequence, answer.upTo.sequence};
  }
  fx.messages.push_back({from, std::move(answer), std::move(range)});
}

void Rooms::passed(ServerNumber home, wire::RoomPassed message, TimePoint now, RoomsEffects& fx) {
  master_.passed(home, std::move(message), fx);
  finish(now, fx);
}

void Rooms::answered(const wire::RoomAnswer& answer, TimePoint now, RoomsEffects& fx) {
  home_.answered(answer, fx);
  finish(now, fx);
}

// --- from the disk

void Rooms::persisted(std::uint64_t number, TimePoint now, RoomsEffects& fx) {
  disk_.persisted(number);
  finish(now, fx);
}

void Rooms::apartRead(const std::vector<wire::RoomEntry>& entries, TimePoint now,
                      RoomsEffects& fx) {
  if (master_.isServing()) {
    const wire::RoomApart own{master_.epoch(), withGates(disk_.log(), entries)};
    master_.received(options_.self, own, fx);
    apartAt_ = now;
  } else {
    copy_.apartRead(entries, fx);
  }
  finish(now, fx);
}

void Rooms::setFailing(bool isFailing, TimePoint now, RoomsEffects& fx) {
  copy_.setFailing(isFailing);
  master_.setFailing(isFailing);
  finish(now, fx);
}

// --- from the directory

const PeerId& Rooms::memberRooms(const PeerId& member, const std::vector<RoomName>& rooms,
                                 bool hasTold, TimePoint now, RoomsEffects& fx) {
  const auto changes = members_.set(member, rooms, hasTold);
  if (!changes.rooms.empty()) {
    home_.tellMoved(member, changes.rooms, fx);
    for (const auto& change : changes.rooms) {
      if (change.isIn) master_.openGate(change.room, fx);
    }
  }
  finish(now, fx);
  return changes.member;
}

void Rooms::memberGone(const PeerId& member, TimePoint now, RoomsEffects& fx) {
  home_.tellMoved(member, members_.remove(member), fx);
  finish(now, fx);
}

// --- from peers

void Rooms::peerOpened(ConnectionId connection, const PeerId& peer, TimePoint now) {
  home_.opened(connection, peer, now);
}

void Rooms::peerClosed(ConnectionId connection) {
  home_.closed(connection);
}

void Rooms::peerReceived(ConnectionId connection, const wire::RoomRequest& request,
                         std::uint64_t wallMs, TimePoint now, RoomsEffects& fx) {
  master_.setWall(wallMs);
  home_.received(connection, request, wallMs, now, fx);
  finish(now, fx);
}

// --- history

// What was not told to this metaserver's peers yet stays.
void Rooms::lapseTo(const RoomName& name, std::uint64_t number, RoomsEffects& fx) {
  const auto* room = disk_.log().find(name);
  const auto told = std::min(room->numberAt(disk_.deliveredUpTo()), number);
  disk_.index().lapse(name, told, fx.writes);
}

void Rooms::lapse(std::uint64_t wallMs, RoomsEffects& fx) {
  const auto& log = disk_.log();
  const auto before = [&](std::chrono::milliseconds age) {
    return wallMs - std::min(wallMs, static_cast<std::uint64_t>(age.count()));
  };
  const auto oldest = before(limits::kRoomKept);
  const auto young = before(options_.keptLeast);
  std::vector<std::pair<RoomName, std::uint64_t>> old;
  std::vector<RoomName> ended;
  std::vector<RoomName> unused;
  const auto isMessage = [](const IndexedEntry& entry) { return entry.kind == Kind::message; };
  for (const auto& [name, room] : log.rooms()) {
    std::uint64_t number = room.rest().last;
    for (const auto& entry : room.entries()) {
      const bool isBeyond = room.lastNumber() - number > options_.messagesMost;
      if (entry.atMs >= (isBeyond ? young : oldest)) break;
      ++number;
    }
    if (number > room.rest().last) old.emplace_back(name, number);
    if (room.entries().empty()) {
      if (members_.countOf(name) == 0 && name != lobby()) unused.push_back(name);
      continue;
    }
    const auto& last = room.entries().back();
    const bool hasEnded = room.hasEnded();
    if (hasEnded && last.position.sequence <= disk_.deliveredUpTo()) ended.push_back(name);
    const bool isYoung = last.atMs >= young || hasEnded;
    const bool isUsed = isYoung || members_.countOf(name) > 0 || name == lobby() ||
                        std::any_of(room.entries().begin(), room.entries().end(), isMessage);
    if (!isUsed) unused.push_back(name);
  }
  for (const auto& name : unused) master_.endRoom(name, fx);
  for (const auto& [name, number] : old) lapseTo(name, number, fx);
  for (const auto& name : ended) disk_.index().forget(name, fx.writes);
  // The room whose first entry is the oldest one, again and again.
  for (std::size_t i = 0; log.bytes() > options_.bytesMost && i < limits::kRooms; ++i) {
    const IndexedRoom* first = nullptr;
    for (const auto& [name, room] : log.rooms()) {
      if (room.entries().empty()) continue;
      if (!first || room.entries().front().position < first->entries().front().position) {
        first = &room;
      }
    }
    if (!first) break;
    const auto part = first->entries().size() / kLapsePart + 1;
    lapseTo(first->rest().room, first->rest().last + part, fx);
  }
}

// --- steps

void Rooms::finish(TimePoint now, RoomsEffects& fx) {
  if (master_.isServing() && !std::exchange(wasServing_, true)) home_.masterBegan();
  // What passes between this metaserver's home and master takes no stream.
  for (bool isAgain = true; isAgain;) {
    isAgain = false;
    auto passed = home_.takePassed();
    if (!master_.isIdle()) {
      for (auto& one : passed) master_.passed(options_.self, std::move(one), fx);
    } else if (isStreamOpen_) {
      std::move(passed.begin(), passed.end(), std::back_inserter(fx.toMaster));
    }
    master_.flush(fx);
    std::vector<std::pair<ServerNumber, wire::RoomAnswer>> away;
    for (auto& [home, answer] : std::exchange(fx.toHomes, {})) {
      if (home == options_.self) {
        home_.answered(answer, fx);
        isAgain = true;
      } else {
        away.emplace_back(home, std::move(answer));
      }
    }
    fx.toHomes = std::move(away);
  }
  copy_.flush(now, fx);
  if (master_.isServing() && apartAt_ <= now && !disk_.log().apart().empty()) {
    fx.readApart = true;
    apartAt_ = now + limits::kRoomApartRetry;
  }
  home_.tellCommitted(fx);
  if (master_.isServing() || copy_.isLevel()) home_.levelled(fx);
  disk_.endStep(fx);
}

void Rooms::tick(std::uint64_t wallMs, TimePoint now, RoomsEffects& fx) {
  master_.setWall(wallMs);
  master_.tick(now, fx);
  copy_.tick(now, fx);
  if (now >= lapseAt_) {
    lapseAt_ = now + kLapseEvery;
    lapse(wallMs, fx);
    home_.tellStates(fx);
  }
  finish(now, fx);
}

TimePoint Rooms::deadline() const {
  auto deadline = std::min({master_.deadline(), copy_.deadline(), lapseAt_});
  if (master_.isServing() && !disk_.log().apart().empty()) {
    deadline = std::min(deadline, apartAt_);
  }
  return deadline;
}

std::vector<Rooms::Row> Rooms::rows(const RoomName& after, std::size_t most) const {
  std::set<RoomName> names;
  if (lobby() > after) names.insert(lobby());
  const auto add = [&](const auto& rooms) {
    auto room = rooms.upper_bound(after);
    for (std::size_t i = 0; i < most && room != rooms.end(); ++i, ++room) names.insert(room->first);
  };
  add(disk_.log().rooms());
  add(members_.rooms());
  std::vector<Row> rows;
  for (const auto& name : names) {
    if (rows.size() >= most) break;
    Row row{name, members_.countOf(name), 0, !home_.isClosed(name), 0};
    const auto* room = disk_.log().find(name);
    if (room) {
      row.last = room->numberAt(disk_.committed());
      row.opensAt = room->opensAt();
    }
    if (name == lobby()) row.opensAt = gate();
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace espalier::metaserver::rooms
