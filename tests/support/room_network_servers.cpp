// The metaservers of RoomNetwork, and who decides.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "tests/support/room_network.h"

namespace espalier::test {

using namespace std::chrono_literals;
using metaserver::rooms::lobby;
using metaserver::rooms::Rooms;

std::size_t RoomNetwork::indexOf(ServerNumber server) const {
  return number(server) - 1u;
}

// --- processes

void RoomNetwork::start(std::size_t index, bool withEmptyDisk) {
  auto& server = servers_[index];
  ++server.run;
  trace(fmt::format("m{} starts{}", index + 1, withEmptyDisk ? " with an empty disk" : ""));
  if (withEmptyDisk) {
    server.disk = {};
    diskLostAt_ = now_;
  }
  server.current = server.disk;
  server.unsynced.clear();
  Rooms::Options options;
  options.self = server.number;
  options.lobbyOpensAt = settings_.lobbyOpensAt;
  options.rate = settings_.rate;
  options.wallMs = static_cast<std::uint64_t>(now_.time_since_epoch() / 1ms);
  options.messagesMost = settings_.messagesMost;
  if (settings_.messagesMost < limits::kRoomMessages) options.keptLeast = 5s;
  server.core = std::make_unique<Rooms>(options, server.disk.stored());
  server.isDeciding = server.isTaking = server.hasView = false;
  server.master.reset();
  server.view.clear();
  server.others.clear();
  server.stream = 0;
  server.streams.clear();
  server.directory = {};
  server.peers.clear();
  server.known = server.epoch;
  server.checked = 0;
  const auto run = server.run;
  at(now_ + some(10, 300), [this, index, run] { beat(index, run); });
  changed();
}

void RoomNetwork::kill(std::size_t index) {
  auto& server = servers_[index];
  if (!server.core) return;
  trace(fmt::format("m{} is killed", index + 1));
  // Some of the writes that were not synced are on the disk, in their order.
  const auto kept = server.unsynced.empty() ? 0 : random_() % (server.unsynced.size() + 1);
  for (std::size_t i = 0; i < kept; ++i) {
    for (const auto& write : server.unsynced[i].writes) server.disk.write(write);
  }
  server.core.reset();
  ++server.run;
  const auto noticed = some(0, 2000);
  for (const auto& [connection, peer] : std::exchange(server.peers, {})) {
    if (peers_[peer].connection != connection) continue;
    peers_[peer].home.reset();
    peers_[peer].connection = {};
    const auto run = peers_[peer].run;
    const auto generation = peers_[peer].generation;
    at(now_ + noticed, [this, peer = peer, run, generation] {
      if (peers_[peer].run != run || peers_[peer].generation != generation) return;
      peers_[peer].core->homeLost();
      connect(peer);
    });
  }
  changed();
}

void RoomNetwork::cut(std::size_t from, std::size_t to, bool isCut) {
  trace(fmt::format("m{} to m{} is {}", from + 1, to + 1, isCut ? "cut" : "healed"));
  if (isCut) {
    cuts_.emplace(from, to);
  } else {
    cuts_.erase({from, to});
  }
  changed();
}

// --- who is there

bool RoomNetwork::isLinked(std::size_t a, std::size_t b) const {
  return isUp(a) && isUp(b) && !cuts_.contains({a, b}) && !cuts_.contains({b, a});
}

bool RoomNetwork::reaches(std::size_t a, std::size_t b) const {
  if (!isUp(a) || !isUp(b)) return false;
  std::set<std::size_t> reached{a};
  for (std::vector<std::size_t> open{a}; !open.empty();) {
    const auto one = open.back();
    open.pop_back();
    for (std::size_t next = 0; next < servers_.size(); ++next) {
      if (isLinked(one, next) && reached.insert(next).second) open.push_back(next);
    }
  }
  return reached.contains(b);
}

void RoomNetwork::changed() {
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (!isUp(i)) continue;
    const auto run = servers_[i].run;
    at(now_ + some(10, 2200), [this, i, run] {
      if (servers_[i].run == run && isUp(i)) updateView(i);
    });
  }
}

void RoomNetwork::updateView(std::size_t index) {
  auto& server = servers_[index];
  std::set<std::size_t> view;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (i != index && reaches(index, i)) view.insert(i);
  }
  server.view = std::move(view);
  server.hasView = true;
  reconsider(index);
}

void RoomNetwork::reconsider(std::size_t index) {
  auto& server = servers_[index];
  if (!server.hasView) return;
  const bool isBest = server.view.empty() || *server.view.begin() > index;
  if (server.isDeciding) {
    server.others.clear();
    for (const auto other : server.view) server.others.insert(servers_[other].number);
    step(index, [&](auto& core, auto& fx) { core.setOthers(server.others, now_, fx); });
    Epoch highest = server.known;
    for (const auto other : server.view) {
      if (servers_[other].isDeciding) highest = std::max(highest, servers_[other].epoch);
    }
    if (isBest && highest > server.epoch) takeEpoch(index, highest);
    return;
  }
  if (server.master && !server.view.contains(*server.master)) {
    server.master.reset();
    server.stream = 0;
    step(index, [&](auto& core, auto& fx) { core.leaderless(false, now_, fx); });
  }
  if (isBest) takeEpoch(index, server.known);
}

void RoomNetwork::takeEpoch(std::size_t index, Epoch above) {
  auto& server = servers_[index];
  if (std::exchange(server.isTaking, true)) return;
  const auto run = server.run;
  at(now_ + some(20, 400), [this, index, run, above] {
    if (servers_[index].run == run) decide(index, above);
  });
}

void RoomNetwork::decide(std::size_t index, Epoch above) {
  auto& server = servers_[index];
  server.isTaking = false;
  if (!server.view.empty() && *server.view.begin() < index) return;
  // Two that decide at once, because one has not seen the other yet, are two sides of a cut.
  for (std::size_t better = 0; better < index && !settings_.hasCuts; ++better) {
    if (reaches(index, better)) return;
  }
  Epoch highest = std::max({server.epoch, server.known, above});
  for (const auto other : server.view) highest = std::max(highest, servers_[other].known);
  server.epoch = server.known = {highest.counter + 1, server.number};
  server.isDeciding = true;
  server.master = index;
  server.stream = 0;
  server.streams.clear();
  server.others.clear();
  for (const auto other : server.view) server.others.insert(servers_[other].number);
  server.directory.epoch = server.epoch;
  server.directory.version = 0;
  for (auto& [id, row] : server.directory.rows) row.seenAt = now_;
  trace(fmt::format("m{} decides in epoch {}, with {} others", index + 1, server.epoch.counter,
                    server.others.size()));
  step(index, [&](auto& core, auto& fx) { core.decide(server.epoch, server.others, now_, fx); });
  announce(index);
}

void RoomNetwork::announce(std::size_t index) {
  const auto epoch = servers_[index].epoch;
  for (const auto other : servers_[index].view) {
    const auto run = servers_[other].run;
    at(now_ + some(1, 60), [this, index, other, run, epoch] {
      if (servers_[other].run == run && reaches(index, other)) hear(other, index, epoch);
    });
  }
}

void RoomNetwork::hear(std::size_t index, std::size_t master, Epoch epoch) {
  auto& server = servers_[index];
  if (epoch < server.known) {
    // States of metaservers tell epochs: a better one decides again, above it.
    auto& other = servers_[master];
    if (other.isDeciding && other.epoch == epoch && reaches(index, master)) {
      takeEpoch(master, server.known);
    }
    return;
  }
  if (epoch == server.known && (server.master == master || server.isDeciding)) return;
  server.known = epoch;
  if (server.hasView) server.view.insert(master);
  if (server.isDeciding && !(server.view.empty() || *server.view.begin() > index)) {
    trace(fmt::format("m{} decides no more", index + 1));
  }
  server.isDeciding = false;
  server.others.clear();
  server.master = master;
  step(index, [&](auto& core, auto& fx) { core.follow(servers_[master].number, epoch, now_, fx); });
  beginStream(index);
  reconsider(index);
}

// --- streams of sessions

void RoomNetwork::beginStream(std::size_t index) {
  auto& server = servers_[index];
  const auto stream = server.stream = ++streams_;
  server.streamAt = now_;
  const auto run = server.run;
  at(now_ + some(1, 100), [this, index, run, stream] {
    const auto& home = servers_[index];
    if (home.run != run || home.stream != stream || !home.master) return;
    toMaster(index, [this, index, stream](std::size_t master) {
      servers_[master].streams[index] = stream;
      servers_[master].answersAt[index] = now_;
    });
    step(index, [&](auto& core, auto& fx) { core.masterBegan(now_, fx); });
  });
}

void RoomNetwork::breakStream(std::size_t index) {
  auto& server = servers_[index];
  if (server.isDeciding || !server.master) return;
  server.stream = ++streams_;
  const auto run = server.run;
  at(now_ + some(100, 600), [this, index, run, stream = server.stream] {
    const auto& home = servers_[index];
    if (home.run == run && home.stream == stream && home.master) beginStream(index);
  });
}

// In order and complete, or the stream is broken.
void RoomNetwork::toMaster(std::size_t index, std::function<void(std::size_t)> deliver) {
  auto& server = servers_[index];
  const auto master = *server.master;
  server.streamAt = std::max(server.streamAt, now_ + some(1, 30));
  at(server.streamAt,
     [this, index, master, run = server.run, stream = server.stream, epoch = server.known,
      there = servers_[master].run, deliver = std::move(deliver)] {
       const auto& home = servers_[index];
       if (home.run != run || home.stream != stream) return;
       const auto& other = servers_[master];
       if (!reaches(index, master) || other.run != there || !other.isDeciding ||
           other.epoch != epoch) {
         return breakStream(index);
       }
       deliver(master);
     });
}

void RoomNetwork::toHomeServer(std::size_t master, std::size_t home,
                               const wire::RoomAnswer& answer) {
  auto& server = servers_[master];
  const auto found = server.streams.find(home);
  if (found == server.streams.end()) return;
  auto& when = server.answersAt[home];
  when = std::max(when, now_ + some(1, 30));
  at(when, [this, home, master, stream = found->second, run = server.run, answer] {
    auto& to = servers_[home];
    if (!to.core || to.stream != stream) return;
    if (!reaches(master, home) || servers_[master].run != run) return breakStream(home);
    step(home, [&](auto& core, auto& fx) { core.answered(answer, now_, fx); });
  });
}

// --- the directory, and signs of life

void RoomNetwork::beat(std::size_t index, std::uint64_t run) {
  auto& server = servers_[index];
  if (server.run != run) return;
  at(now_ + 250ms, [this, index, run] { beat(index, run); });
  tickPeers();
  if (server.core->deadline() <= now_) {
    const auto wall = static_cast<std::uint64_t>(now_.time_since_epoch() / 1ms);
    step(index, [&](auto& core, auto& fx) { core.tick(wall, now_, fx); });
  }
  for (const auto& [connection, peer] : server.peers) {
    const auto id = peers_[peer].id;
    const auto generation = peers_[peer].generation;
    if (server.isDeciding) {
      noteSession(index, id, generation);
    } else if (server.master && server.stream > 0) {
      toMaster(index,
               [this, id, generation](std::size_t master) { noteSession(master, id, generation); });
    }
  }
  if (!server.isDeciding) return;
  auto& rows = server.directory.rows;
  std::vector<PeerId> gone;
  for (const auto& [id, row] : rows) {
    if (row.seenAt + 10s < now_) gone.push_back(id);
  }
  for (const auto& id : gone) {
    rows.erase(id);
    applyRow(index, id, nullptr);
  }
  announce(index);
  publish(index);
}

void RoomNetwork::noteOpened(std::size_t master, const RoomName& name) {
  const auto [opened, isFirst] = openedWith_.try_emplace(name);
  if (!isFirst) return;
  for (const auto& [id, row] : servers_[master].directory.rows) {
    const bool isIn = name == lobby() ? row.revision > 0 : std::ranges::count(row.rooms, name) > 0;
    if (isIn) opened->second[id] = row.revision;
  }
  const auto wanted = name == lobby() ? settings_.lobbyOpensAt : opensAt_[name];
  if (!settings_.hasCuts && opened->second.size() < wanted) fail("opened early: " + name.text());
}

void RoomNetwork::noteSession(std::size_t master, const PeerId& id, std::uint64_t generation) {
  auto& rows = servers_[master].directory.rows;
  const bool isNew = !rows.contains(id);
  auto& row = rows[id];
  if (generation < row.generation) return;
  row.generation = generation;
  row.seenAt = now_;
  if (isNew) applyRow(master, id, &row);
}

void RoomNetwork::noteRooms(std::size_t master, const Effects::RoomsOfMember& rooms) {
  auto& row = servers_[master].directory.rows[rooms.member];
  if (rooms.revision < row.revision) return;
  row.revision = rooms.revision;
  row.rooms = rooms.rooms;
  row.seenAt = now_;
  const auto copy = row;
  applyRow(master, rooms.member, &copy);
  publish(master);
}

void RoomNetwork::applyRow(std::size_t index, const PeerId& id, const Row* row) {
  step(index, [&](auto& core, auto& fx) {
    if (row) {
      core.memberRooms(id, row->rooms, row->revision > 0, now_, fx);
    } else {
      core.memberGone(id, now_, fx);
    }
  });
}

void RoomNetwork::publish(std::size_t index) {
  auto& server = servers_[index];
  ++server.directory.version;
  for (const auto other : server.view) {
    at(now_ + some(1, 30), [this, index, other, directory = server.directory] {
      if (!reaches(index, other) || servers_[other].known != directory.epoch) return;
      auto& own = servers_[other].directory;
      if (std::pair(directory.epoch, directory.version) <= std::pair(own.epoch, own.version)) {
        return;
      }
      const auto before = std::exchange(own, directory).rows;
      for (const auto& [id, row] : before) {
        if (!directory.rows.contains(id)) applyRow(other, id, nullptr);
      }
      for (const auto& [id, row] : directory.rows) {
        const auto old = before.find(id);
        const bool isSame = old != before.end() && old->second.rooms == row.rooms &&
                            old->second.revision == row.revision;
        if (!isSame) applyRow(other, id, &row);
      }
    });
  }
}

// --- steps of a core

void RoomNetwork::send(std::size_t from, std::size_t to, const wire::RoomServerMessage& message) {
  if (!reaches(from, to)) return;
  const int copies = oneIn(50) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    const auto delay = oneIn(20) ? some(1, 300) : some(1, 25);
    at(now_ + delay, [this, from, to, message, run = servers_[to].run] {
      if (servers_[to].run != run || !reaches(from, to)) return;
      step(to,
           [&](auto& core, auto& fx) { core.received(servers_[from].number, message, now_, fx); });
    });
  }
}

void RoomNetwork::carryOut(std::size_t index, Effects& fx) {
  auto& server = servers_[index];
  for (const auto& write : fx.writes) {
    server.current.write(write);
    if (const auto* forget = std::get_if<metaserver::rooms::StoreForget>(&write)) {
      ended_.insert(forget->room);
    }
    const auto* append = std::get_if<metaserver::rooms::StoreAppend>(&write);
    if (append && append->entry.kind == wire::RoomEntry::Kind::opened && server.isDeciding) {
      noteOpened(index, append->entry.room);
    }
    if (settings_.isTraced) traceWrite(index, write);
  }
  if (fx.persist) {
    server.unsynced.push_back({*fx.persist, std::move(fx.writes)});
    server.syncedAt = std::max(server.syncedAt, now_ + (oneIn(30) ? some(1, 400) : some(1, 20)));
    at(server.syncedAt,
       [this, index, run = server.run, number = *fx.persist] { sync(index, run, number); });
  }
  if (fx.readApart) {
    at(now_ + some(0, 5), [this, index, run = server.run] {
      if (servers_[index].run != run) return;
      step(index, [&](auto& core, auto& more) {
        core.apartRead(servers_[index].current.apart(), now_, more);
      });
    });
  }
  for (const auto& notice : fx.notices) fail("notice: " + notice);
  for (auto& message : fx.messages) {
    if (message.entries) {
      server.current.fill(std::get<wire::RoomEntries>(message.message), *message.entries);
    }
    send(index, indexOf(message.to), message.message);
  }
  for (auto& [to, reply, entries] : fx.peers) {
    if (entries) server.current.fill(std::get<wire::RoomMessages>(reply), *entries);
    if (server.isDeciding) {
      if (const auto* said = std::get_if<wire::RoomSaidReply>(&reply)) checkReply(index, *said);
    }
    for (const auto connection : to) toPeer(index, connection, reply);
  }
  for (auto& passed : fx.toMaster) {
    if (!server.master || server.isDeciding) break;
    toMaster(index, [this, home = server.number, passed = std::move(passed)](std::size_t master) {
      step(master, [&](auto& core, auto& more) { core.passed(home, passed, now_, more); });
    });
  }
  for (const auto& [home, answer] : fx.toHomes) {
    checkReply(index, answer);
    toHomeServer(index, indexOf(home), answer);
  }
  if (server.isDeciding) {
    for (const auto& rooms : fx.members) noteRooms(index, rooms);
  }
  if (fx.needsEpoch && server.isDeciding) takeEpoch(index, *fx.needsEpoch);
}

void RoomNetwork::traceWrite(std::size_t index, const metaserver::rooms::StoreWrite& write) {
  using namespace metaserver::rooms;
  std::string what;
  if (const auto* append = std::get_if<StoreAppend>(&write)) {
    const auto& entry = append->entry;
    what = fmt::format("{}.{} {}/{} {}{}", entry.position.epoch.counter, entry.position.sequence,
                       entry.room.text(), entry.number, entry.text, entry.isApart ? " apart" : "");
  } else if (const auto* end = std::get_if<StoreEnd>(&write)) {
    what = fmt::format("up to {}.{}", end->last.epoch.counter, end->last.sequence);
  } else if (const auto* rest = std::get_if<StoreRest>(&write)) {
    what = fmt::format("without {}/{}", rest->rest.room.text(), rest->rest.last);
  } else if (const auto* forget = std::get_if<StoreForget>(&write)) {
    what = fmt::format("without {}", forget->room.text());
  } else if (const auto* drop = std::get_if<StoreDropApart>(&write)) {
    what = fmt::format("drops from apart in {}", drop->room.text());
  }
  if (!what.empty()) trace(fmt::format("    m{} writes: {}", index + 1, what));
}

void RoomNetwork::sync(std::size_t index, std::uint64_t run, std::uint64_t number) {
  auto& server = servers_[index];
  if (server.run != run) return;
  while (!server.unsynced.empty() && server.unsynced.front().number <= number) {
    for (const auto& write : server.unsynced.front().writes) server.disk.write(write);
    server.unsynced.erase(server.unsynced.begin());
  }
  step(index, [&](auto& core, auto& fx) { core.persisted(number, now_, fx); });
}

// --- checks of a step

void RoomNetwork::checkReply(std::size_t index, const wire::RoomAnswer& answer) {
  const auto* reply = std::get_if<wire::RoomSaidReply>(&answer);
  if (!reply || reply->number == 0) return;
  // One that was lost just now had it.
  const std::uint32_t lost = now_ < diskLostAt_ + 3s ? 1 : 0;
  const auto disks =
      lost + static_cast<std::uint32_t>(
                 std::count_if(servers_.begin(), servers_.end(), [&](const Server& one) {
                   const auto* room = one.core ? one.core->log().find(reply->room) : nullptr;
                   const bool hasLapsed = room && room->firstNumber() > reply->number;
                   return hasLapsed || one.disk.has(reply->room, reply->id);
                 }));
  const auto what = fmt::format("{}/{}", reply->room.text(), reply->number);
  if (disks < reply->stored) {
    fail(fmt::format("acknowledged as stored {} times, on {} disks: {}", reply->stored, disks,
                     what));
  }
  if (reply->stored < 2 && !servers_[index].others.empty()) {
    fail("stored once although others are there: " + what);
  }
}

void RoomNetwork::checkServer(std::size_t index) {
  auto& server = servers_[index];
  const auto& core = *server.core;
  if (const auto sound = core.log().checkInvariants(); !sound) fail(sound.error().message);
  const auto from = std::min(server.checked, core.committed());
  server.checked = core.committed();
  for (const auto& [name, room] : core.log().rooms()) {
    auto& most = most_[name];
    most = std::max<std::uint64_t>(most, core.members().countOf(name));
    for (std::size_t i = room.entries().size(); i-- > 0;) {
      const auto& entry = room.entries()[i];
      if (entry.position.sequence > core.committed()) continue;
      if (entry.position.sequence <= from) break;
      checkCommitted(name, room.firstNumber() + i, entry);
    }
  }
  most_[lobby()] = std::max<std::uint64_t>(most_[lobby()], core.members().countOf(lobby()));
}

void RoomNetwork::checkCommitted(const RoomName& name, std::uint64_t roomNumber,
                                 const metaserver::rooms::IndexedEntry& entry) {
  const auto& position = entry.position;
  const std::pair key(name, entry.id);
  if (!entry.id.speaker.isZero()) history_[name][roomNumber] = entry.id;
  const auto known = committed_.try_emplace(position, key).first;
  if (known->second != key) {
    fail(fmt::format("two entries have the position {}.{}: in {}", position.epoch.counter,
                     position.sequence, name.text()));
  }
  const auto first = placeOf_.try_emplace(key, position).first;
  // That a room is open is said again by a master whose log has lost it.
  if (first->second != position && !entry.id.speaker.isZero()) moved_.insert(key);
}

}  // namespace espalier::test
