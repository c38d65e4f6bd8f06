#include "tests/support/room_network.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

namespace espalier::test {

using namespace std::chrono_literals;
using metaserver::rooms::lobby;

RoomNetwork::RoomNetwork(const Settings& settings) : settings_(settings), random_(settings.seed) {
  now_ = TimePoint(1h);
  servers_.resize(settings.servers);
  peers_.resize(settings.peers);
  for (const auto& [name, opensAt] : settings.rooms) {
    if (opensAt > 1) opensAt_[*RoomName::parse(name)] = opensAt;
  }
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    servers_[i].number = ServerNumber{static_cast<std::uint16_t>(i + 1)};
    start(i);
  }
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    peers_[i].id = *PeerId::parse(fmt::format("s{}", i + 1));
    peers_[i].saved.revision = 1;  // as the time of day at a real one
    startPeer(i);
  }
}

// --- time

void RoomNetwork::at(TimePoint when, std::function<void()> action) {
  events_.emplace(std::pair(when, ++eventNumber_), std::move(action));
}

Duration RoomNetwork::some(int leastMs, int mostMs) {
  return std::chrono::microseconds(
      std::uniform_int_distribution<int>(leastMs * 1000, mostMs * 1000)(random_));
}

void RoomNetwork::fail(const std::string& what) {
  if (!failure_.empty()) return;
  failure_ = what;
  trace("FAILED: " + what);
}

void RoomNetwork::trace(const std::string& what) {
  if (!settings_.isTraced) return;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch());
  std::printf("%9.3f %s\n", static_cast<double>(ms.count() - 3'600'000) / 1000, what.c_str());
}

void RoomNetwork::run(Duration duration) {
  const auto end = now_ + duration;
  while (failure_.empty() && !events_.empty() && events_.begin()->first.first <= end) {
    now_ = std::max(now_, events_.begin()->first.first);
    const auto action = std::move(events_.begin()->second);
    events_.erase(events_.begin());
    action();
  }
  now_ = end;
}

void RoomNetwork::rest() {
  trace("rest");
  cuts_.clear();
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (!isUp(i)) start(i);
  }
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    if (!isPeerUp(i)) startPeer(i);
  }
  changed();
  run(40s);
  // What a master does by itself, as ending a room, may be under way just then.
  for (int i = 0; i < 20 && !isCalm(); ++i) run(100ms);
}

// --- peers

void RoomNetwork::startPeer(std::size_t index) {
  auto& peer = peers_[index];
  ++peer.run;
  SpeakerId speaker = randomFrom<SpeakerId>(random_);
  peer.core = std::make_unique<peer::RoomViews>(peer.id, speaker, peer.saved);
  peer.tracks[lobby()];
  connect(index);
}

void RoomNetwork::endPeer(std::size_t index) {
  auto& peer = peers_[index];
  trace(peer.id.text() + " ends");
  disconnect(index, some(0, 500));
  peer.core.reset();
  ++peer.run;
}

void RoomNetwork::move(std::size_t index) {
  trace(peers_[index].id.text() + " moves");
  disconnect(index, some(0, 1500));
  if (peers_[index].core) peers_[index].core->homeLost();
  connect(index);
}

// The home notices later.
void RoomNetwork::disconnect(std::size_t index, Duration noticed) {
  auto& peer = peers_[index];
  if (!peer.home) return;
  const auto home = *peer.home;
  const auto connection = peer.connection;
  const auto run = servers_[home].run;
  peer.home.reset();
  peer.connection = {};
  at(now_ + noticed, [this, home, connection, run] {
    auto& server = servers_[home];
    if (server.run != run || !server.core) return;
    server.peers.erase(connection);
    server.core->peerClosed(connection);
  });
}

void RoomNetwork::connect(std::size_t index) {
  auto& peer = peers_[index];
  const auto run = peer.run;
  const auto generation = ++peer.generation;
  at(now_ + some(1, 800), [this, index, run, generation] {
    const auto& one = peers_[index];
    if (one.run == run && one.core && one.generation == generation) greet(index);
  });
}

void RoomNetwork::greet(std::size_t index) {
  auto& peer = peers_[index];
  std::vector<std::size_t> up;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (isUp(i)) up.push_back(i);
  }
  if (up.empty()) return connect(index);
  const auto home = up[random_() % up.size()];
  peer.home = home;
  peer.connection = ConnectionId{++connections_};
  peer.sentAt = peer.receivedAt = now_;
  servers_[home].peers[peer.connection] = index;
  trace(fmt::format("{} is at m{}", peer.id.text(), home + 1));
  step(home, [&](auto& core, auto&) { core.peerOpened(peer.connection, peer.id, now_); });
  peer::RoomViewsEffects fx;
  peer.core->homeBegan(now_, fx);
  carryOut(index, fx);
}

void RoomNetwork::join(std::size_t index, const std::string& name, std::uint32_t opensAt) {
  auto& peer = peers_[index];
  const auto room = *RoomName::parse(name);
  if (!peer.core || peer.core->isIn(room)) return;
  trace(peer.id.text() + " joins " + name);
  peer.tracks[room] = {};
  peer::RoomViewsEffects fx;
  if (!peer.core->join(room, opensAt, now_, fx)) return;
  peer.tracks[room].revision = fx.revision;
  carryOut(index, fx);
}

void RoomNetwork::part(std::size_t index, const std::string& name) {
  auto& peer = peers_[index];
  const auto room = *RoomName::parse(name);
  if (!peer.core || !peer.core->isIn(room)) return;
  trace(peer.id.text() + " parts " + name);
  peer::RoomViewsEffects fx;
  if (!peer.core->part(room, fx)) return;
  peer.tracks.erase(room);
  carryOut(index, fx);
}

void RoomNetwork::say(std::size_t index, const std::string& name) {
  auto& peer = peers_[index];
  const auto room = *RoomName::parse(name);
  if (!peer.core || !peer.core->isIn(room)) return;
  auto text = fmt::format("{}-{}", peer.id.text(), ++texts_);
  peer::RoomViewsEffects fx;
  const auto id = peer.core->say(room, text, fx);
  if (!id) return;
  trace(peer.id.text() + " says " + text + " in " + name);
  said_[{room, *id}] = text;
  carryOut(index, fx);
}

void RoomNetwork::toHome(std::size_t index, wire::RoomRequest request) {
  auto& peer = peers_[index];
  if (!peer.home) return;
  const auto home = *peer.home;
  const auto connection = peer.connection;
  const auto run = servers_[home].run;
  peer.sentAt = std::max(peer.sentAt, now_ + some(1, 20));
  at(peer.sentAt, [this, home, connection, run, request = std::move(request)] {
    auto& server = servers_[home];
    if (server.run != run || !server.peers.contains(connection)) return;
    const auto wall = static_cast<std::uint64_t>(now_.time_since_epoch() / 1ms);
    step(home,
         [&](auto& core, auto& fx) { core.peerReceived(connection, request, wall, now_, fx); });
  });
}

void RoomNetwork::toPeer(std::size_t server, ConnectionId connection,
                         const wire::RoomReply& reply) {
  const auto found = servers_[server].peers.find(connection);
  if (found == servers_[server].peers.end()) return;
  const auto index = found->second;
  auto& peer = peers_[index];
  if (peer.connection != connection) return;
  // What the room has when somebody comes into it.
  std::set<Id> base;
  const auto* messages = std::get_if<wire::RoomMessages>(&reply);
  if (messages && messages->answers > 0 && messages->entries.empty()) {
    for (const auto& [sequence, entry] : servers_[server].current.log()) {
      if (entry.room == messages->room && sequence <= messages->after.position.sequence) {
        base.insert(entry.id);
      }
    }
  }
  peer.receivedAt = std::max(peer.receivedAt, now_ + some(1, 20));
  at(peer.receivedAt, [this, index, connection, reply, base] {
    const auto& one = peers_[index];
    if (one.connection == connection && one.core) deliver(index, reply, base);
  });
}

void RoomNetwork::deliver(std::size_t index, const wire::RoomReply& reply,
                          const std::set<Id>& base) {
  auto& peer = peers_[index];
  peer::RoomViewsEffects fx;
  peer.core->received(reply, now_, fx);
  const auto* messages = std::get_if<wire::RoomMessages>(&reply);
  if (messages && messages->answers > 0 && peer.tracks.contains(messages->room)) {
    auto& track = peer.tracks[messages->room];
    if (!track.hasBase && !fx.saves.empty()) {
      track.hasBase = true;
      if (fx.saves.back().places.empty()) return carryOut(index, fx);  // from its first entry on
      track.base = base;
      track.baseNumber = messages->after.number;
    }
  }
  carryOut(index, fx);
}

void RoomNetwork::carryOut(std::size_t index, peer::RoomViewsEffects& fx) {
  auto& peer = peers_[index];
  if (fx.revision > 0) peer.saved.revision = fx.revision;
  for (const auto& save : fx.saves) {
    std::erase_if(peer.saved.rooms, [&](const auto& one) { return one.room == save.room; });
    if (save.isJoined) peer.saved.rooms.push_back(save);
    if (!save.isJoined) peer.saved.shown.erase(save.room);
  }
  track(index, fx);
  for (auto& request : fx.sends) toHome(index, std::move(request));
}

void RoomNetwork::track(std::size_t index, peer::RoomViewsEffects& fx) {
  auto& peer = peers_[index];
  for (const auto& missing : fx.missing) {
    trace(fmt::format("{} misses {} to {} of {}", peer.id.text(), missing.from, missing.to,
                      missing.room.text()));
    peer.tracks[missing.room].missing.emplace_back(missing.from, missing.to);
    missing_ += missing.to - missing.from + 1;
  }
  for (const auto& show : fx.shows) {
    const auto& entry = show.entry;
    ++shown_;
    peer.saved.shown[entry.room].push_back(entry.id);
    auto& track = peer.tracks[entry.room];
    trace(fmt::format("{} sees {}/{} {}", peer.id.text(), entry.room.text(), entry.number,
                      entry.text));
    const auto what =
        fmt::format("{}/{} {} at {}", entry.room.text(), entry.number, entry.text, peer.id.text());
    if (!track.shownIds.insert(entry.id).second) fail("shown twice: " + what);
    track.shown.emplace_back(entry.id, entry.number);
    seen_.insert({entry.room, entry.id});
    if (entry.kind != wire::RoomEntry::Kind::message) continue;
    const auto said = said_.find({entry.room, entry.id});
    if (said == said_.end() || said->second != entry.text) fail("nobody said that: " + what);
    if (settings_.lobbyOpensAt > 1 && most_[lobby()] < settings_.lobbyOpensAt) {
      fail("shown before the network opened: " + what);
    }
    const auto gate = opensAt_.find(entry.room);
    if (gate != opensAt_.end() && most_[entry.room] < gate->second) {
      fail("shown before the room opened: " + what);
    }
  }
  for (const auto& said : fx.said) {
    if (said.number == 0) {
      trace(peer.id.text() + " is refused: " + said.why);
      continue;
    }
    trace(fmt::format("{} has {}/{} stored {}", peer.id.text(), said.room.text(), said.number,
                      said.stored));
    acknowledged_[{said.room, said.id}] = said.number;
    const auto place = placeOf_.find({said.room, said.id});
    // What has lapsed and is repeated late gets another number.
    const bool lapses = settings_.messagesMost < limits::kRoomMessages;
    const bool isMoved = place != placeOf_.end() && place->second.epoch != said.epoch;
    if (!settings_.hasCuts && !lapses && isMoved) {
      fail("acknowledged with another epoch: " + said.room.text());
    }
  }
}

void RoomNetwork::tickPeers() {
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    auto& peer = peers_[i];
    if (!peer.core || peer.core->deadline() > now_) continue;
    peer::RoomViewsEffects fx;
    peer.core->tick(now_, fx);
    carryOut(i, fx);
  }
}

}  // namespace espalier::test
