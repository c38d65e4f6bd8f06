// The part of Coordinator that connects rooms (cluster_rooms.h) with who decides, with the streams
// of sessions, and with the directory.
//
// The core of rooms is told of each event at once. What it asks for is carried out by tick():
// messages to metaservers, what homes pass to the master, its answers, and rows of the directory.
#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "common/base/limits.h"
#include "metaserver/core/cluster/coordinator.h"

namespace espalier::metaserver::cluster {
namespace {

using namespace std::chrono_literals;

// Tuning: rooms that ask for a later epoch again and again must not stop everything else.
constexpr auto kEpochPause = 1s;

template <typename T>
void append(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  from.clear();
}

}  // namespace

// --- a single metaserver ---

// Each run decides in an epoch of its own: what it appends may differ from what the run before has
// lost.
void Coordinator::beginRoomsAlone(const Epoch& before, TimePoint now) {
  const auto number = mesh_.self().number;
  const auto next = before == Epoch() ? Epoch{0, number} : nextEpoch(before, number);
  inRooms([&](auto& core, auto& out) { core.decide(next.value_or(before), {}, now, out); });
}

void Coordinator::absorbAlone(metaserver::Effects& own, TimePoint now, CoordinatorEffects& fx) {
  rooms_.take(own.members, now);
  noteRoomPeers(own, now);
  askRooms(own, now);
  isDirty_ = isDirty_ || rooms_.isDirty();
  if (fx.peers.persists.empty()) fx.peers.persists = std::move(own.persists);
  append(fx.peers.sends, own.sends);
  append(fx.peers.readings, own.readings);
  append(fx.peers.closes, own.closes);
  append(fx.peers.probes, own.probes);
  append(fx.peers.notices, own.notices);
  append(fx.peers.sessions, own.sessions);
  append(fx.peers.statistics, own.statistics);
}

// --- peers of this metaserver ---

// Those that have become members here.
void Coordinator::noteRoomPeers(const metaserver::Effects& from, TimePoint now) {
  for (const auto& event : from.sessions) {
    const auto* here = std::get_if<session::Here>(&event);
    if (here == nullptr) continue;
    inRooms([&](auto& core, auto&) { core.peerOpened(here->connection, here->id, now); });
  }
}

void Coordinator::askRooms(metaserver::Effects& from, TimePoint now) {
  for (const auto& [connection, request] : from.rooms) {
    const ConnectionId who = connection;
    if (const auto* room = std::get_if<wire::RoomRequest>(&request)) {
      inRooms([&](auto& core, auto& out) {
        core.peerReceived(who, *room, rooms_.wallMs(now), now, out);
      });
    } else if (const auto* list = std::get_if<wire::RoomListRequest>(&request)) {
      from.sends.push_back({who, roomList(*list)});
    } else {
      from.sends.push_back({who, roomWho(std::get<wire::RoomWhoRequest>(request))});
    }
  }
  from.rooms.clear();
}

// --- who decides ---

std::set<ServerNumber> Coordinator::otherNumbers() const {
  std::set<ServerNumber> others;
  for (const auto& [number, run] : reached_) others.insert(number);
  return others;
}

// Behind follow(): what homes pass on comes behind the resumption of their sessions.
void Coordinator::passRooms(TimePoint now) {
  inRooms([&](auto& core, auto& out) {
    if (!master_) return core.leaderless(options_.isByEtcd, now, out);
    if (*master_ == mesh_.self().number) {
      return core.decide(masterEpoch_, otherNumbers(), now, out);
    }
    core.follow(*master_, masterEpoch_, now, out);
    core.masterBegan(now, out);
  });
}

// One that has begun another run is left out first: what it had told may be gone with its disk.
void Coordinator::tellRoomsOthers(const std::map<ServerNumber, std::chrono::milliseconds>& before,
                                  TimePoint now) {
  const auto others = otherNumbers();
  auto same = others;
  std::erase_if(same, [&](ServerNumber number) {
    const auto there = before.find(number);
    return there != before.end() && there->second != reached_.at(number);
  });
  inRooms([&](auto& core, auto& out) {
    if (same != others) core.setOthers(same, now, out);
    core.setOthers(others, now, out);
  });
}

// The log is of a later epoch than that of this master, or another metaserver knows of one.
void Coordinator::considerRooms(const wire::ServerState* best, TimePoint now,
                                CoordinatorEffects& fx) {
  if (!authority_ || authority_->isFrozen() || roomsNeed_ < authority_->epoch()) return;
  if (roomsNeed_ == Epoch() || options_.isByEtcd) return;
  if (best && best->number != mesh_.self().number) return;  // that one takes over
  if (now < roomsNeedAt_) {
    reconsiderAt_ = std::min(reconsiderAt_, roomsNeedAt_);
    return;
  }
  roomsNeedAt_ = now + kEpochPause;
  epoch_ = std::max(epoch_, std::exchange(roomsNeed_, Epoch()));
  goOn(now, fx);
}

// --- the directory ---

// Another directory than that whose changes were noted.
void Coordinator::noteReplaced(TimePoint now, CoordinatorEffects& fx) {
  changes_.reset();
  rooms_.replace(directory(), now);
  isDirty_ = true;
  changedDirectory(fx);
}

// --- what they ask for ---

void Coordinator::absorbRooms(TimePoint now, CoordinatorEffects& fx) {
  while (rooms_.isDirty()) {
    auto effects = rooms_.takeEffects();
    if (effects.needsEpoch) {
      if (options_.isByEtcd && *effects.needsEpoch != roomsNeed_) {
        fx.peers.note({},
                      "rooms.db has entries of later epochs than etcd's: nothing can be said "
                      "in rooms until it is moved away");
      }
      roomsNeed_ = std::max(roomsNeed_, *effects.needsEpoch);
      isDirty_ = true;
    }
    for (auto& passed : effects.toMaster) {
      if (authority_ || !stream_.isOpen()) break;
      requests_.emplace_back(wire::SessionRoomPassed{std::move(passed)});
      isDirty_ = true;
    }
    for (auto& [home, answer] : effects.toHomes) {
      if (!authority_ || isSingle_ || authority_->isFrozen()) break;
      authority_->answers[home].emplace_back(wire::SessionRoomAnswer{std::move(answer)});
      isDirty_ = true;
    }
    for (auto& [member, revision, rooms] : effects.members) {
      if (!authority_ || authority_->isFrozen()) break;
      const bool isNew = authority_->registry.setRooms(member, revision, rooms);
      isDirty_ = true;
      if (!isNew || !isSingle_) continue;  // the publication tells
      const PeerId& who = member;
      const auto& its = rooms;
      inRooms([&](auto& core, auto& out) { core.memberRooms(who, its, true, now, out); });
    }
    for (auto& message : effects.messages) {
      if (message.entries) {
        fx.rooms.messages.push_back(std::move(message));
      } else if (!isSingle_) {
        send(message.to, std::move(message.message), fx);
      }
    }
    append(fx.rooms.writes, effects.writes);
    if (effects.persist) fx.rooms.persist = effects.persist;
    fx.rooms.readApart |= effects.readApart;
    append(fx.rooms.peers, effects.peers);
    for (auto& notice : effects.notices) fx.peers.note({}, std::move(notice));
  }
}

void Coordinator::roomsPersisted(std::uint64_t number, TimePoint now) {
  inRooms([&](auto& core, auto& out) { core.persisted(number, now, out); });
}

void Coordinator::roomsApart(const std::vector<wire::RoomEntry>& entries, TimePoint now) {
  inRooms([&](auto& core, auto& out) { core.apartRead(entries, now, out); });
}

void Coordinator::setRoomsFailing(bool isFailing, TimePoint now) {
  inRooms([&](auto& core, auto& out) { core.setFailing(isFailing, now, out); });
}

// --- lists ---

wire::RoomList Coordinator::roomList(const wire::RoomListRequest& request) const {
  auto rows = rooms_.core().rows(request.after, limits::kRoomListPage + 1);
  wire::RoomList list{request.number, {}, rows.size() > limits::kRoomListPage};
  if (list.isMore) rows.pop_back();
  for (auto& row : rows) {
    list.rooms.push_back({std::move(row.room), row.members, row.opensAt, row.isOpen, row.last});
  }
  return list;
}

wire::RoomWho Coordinator::roomWho(const wire::RoomWhoRequest& request) const {
  const RoomName& room = request.room.empty() ? rooms::lobby() : request.room;
  const auto& members = rooms_.core().members();
  auto page = members.membersOf(room, request.after, limits::kRoomListPage + 1);
  const auto count = request.room.empty() ? members.all().size() : members.countOf(room);
  wire::RoomWho who{request.number, count, {}, page.size() > limits::kRoomListPage};
  if (who.isMore) page.pop_back();
  std::map<ServerNumber, ServerName> names{{mesh_.self().number, mesh_.self().name}};
  for (const auto& [state, way] : others()) names.emplace(state.number, state.name);
  for (auto& id : page) {
    wire::RoomMember member{std::move(id), {}, {}};
    if (isSingle_) {
      member.home = mesh_.self().name;
      member.since = authority_->registry.sessionSince(member.id).value_or(0ms);
    } else if (const MemberRow* row = directory().copy().find(member.id)) {
      const auto home = names.find(row->home);
      if (home != names.end()) member.home = home->second;
      member.since = row->since;
    }
    who.members.push_back(std::move(member));
  }
  return who;
}

}  // namespace espalier::metaserver::cluster
