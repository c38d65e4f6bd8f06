// Two homes without sockets, their peers, and one master after another. Messages wait in queues, so
// that a master can die between any two of them.
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "metaserver/core/cluster/home_sessions.h"
#include "metaserver/core/cluster/remote_sessions.h"
#include "metaserver/core/session_ids.h"
#include "tests/unit/registry_fixture.h"

namespace espalier::metaserver::cluster {

struct SessionWorld {
  static Registry::Options founding() {
    Registry::Options options;
    options.network.bytes[0] = 7;
    return options;
  }

  struct Master {
    Master(Registry::Options options, TimePoint now)
        : registry(std::move(options), budget, now, fx), sessions(registry) {}

    Budget budget;
    Effects fx;
    Registry registry;
    RemoteSessions sessions;
  };
  struct Home {
    Home(ServerNumber its, TimePoint now)
        : number(its), sessions(std::make_unique<HomeSessions>(budget, now)) {}

    ServerNumber number;
    Budget budget;
    std::unique_ptr<HomeSessions> sessions;  // null: it is dead
    std::deque<wire::SessionMessage> sent;   // on their way to the master
    std::deque<wire::SessionAnswer> coming;  // on their way from it
  };
  struct Peer {
    std::size_t home = 0;
    ConnectionId connection{};  // kNoConnection: it has none
    std::vector<wire::RegistryReply> heard;
    std::optional<wire::Admitted> admitted;  // the latest one
    wire::Links links;
    bool isJoined = false;  // on this connection
    int closes = 0;
  };

  SessionWorld() { startMaster(founding()); }

  // --- peers
  void connect(int number, std::size_t home) {
    Peer& one = peers[number];
    one.home = home;
    one.isJoined = false;
    one.connection = ConnectionId{++connections * 2};
    owners[one.connection] = number;
    HomeSessions::Effects fx;
    homes[home].sessions->opened(one.connection, "127.0.0.1", now, fx);
    carryOut(home, fx);
  }
  void send(int number, const wire::RegistryRequest& request) {
    Peer& one = peers[number];
    HomeSessions::Effects fx;
    homes[one.home].sessions->received(one.connection, request, replica, now, fx);
    carryOut(one.home, fx);
  }
  wire::Join joinOf(int number) {
    wire::Join join;
    join.id = peer(number);
    join.key = key(number);
    join.word = "P2P";
    join.generation = ++joins;
    return join;
  }
  // The request of a peer that returns with what it knows.
  wire::Join returnOf(int number) {
    const Peer& one = peers.at(number);
    wire::Join join = joinOf(number);
    join.network = one.admitted->network;
    join.order = one.admitted->self.order;
    join.listen = one.admitted->self.endpoint;
    join.parent = one.links.parent;
    join.neighbours = one.links.neighbours;
    return join;
  }
  template <typename Reply>
  std::optional<Reply> last(int number) const {
    const auto& heard = peers.at(number).heard;
    if (heard.empty() || !std::holds_alternative<Reply>(heard.back())) return std::nullopt;
    return std::get<Reply>(heard.back());
  }
  // Joins at the home and reports the link, as its parent does.
  void joinAndReport(int number, std::size_t home) {
    connect(number, home);
    send(number, joinOf(number));
    deliver();
    REQUIRE(last<wire::Admitted>(number));
    link(number);
    deliver();
  }
  // Both ends report the link to which its last Admitted has referred it.
  void link(int number) {
    Peer& one = peers[number];
    const auto referral = one.admitted->referral;
    if (referral.kind != wire::Referral::Kind::below || one.links.parent) return;
    if (!one.isJoined) return;
    for (auto& [other, above] : peers) {
      if (peer(other) != referral.parent.id || !above.isJoined) continue;
      one.links.parent = peer(other);
      std::erase(one.links.neighbours, peer(other));
      one.links.neighbours.insert(one.links.neighbours.begin(), peer(other));
      std::erase(above.links.neighbours, peer(number));
      above.links.neighbours.push_back(peer(number));
      send(other, above.links);
      send(number, one.links);
      return;
    }
  }
  void disconnect(int number) {
    Peer& one = peers[number];
    const ConnectionId connection = std::exchange(one.connection, kNoConnection);
    one.isJoined = false;
    owners.erase(connection);
    HomeSessions::Effects fx;
    if (!homes[one.home].sessions) return;
    homes[one.home].sessions->closed(connection, now, fx);
    carryOut(one.home, fx);
  }

  // --- messages
  void carryOut(std::size_t home, HomeSessions::Effects& fx) {
    for (auto& message : fx.messages) homes[home].sent.push_back(std::move(message));
    for (auto& send : fx.peers.sends) {
      const auto owner = owners.find(send.to);
      if (owner == owners.end()) continue;
      Peer& one = peers[owner->second];
      if (const auto* admitted = std::get_if<wire::Admitted>(&send.reply)) {
        one.admitted = *admitted;
        one.isJoined = true;
        told(owner->second, *admitted);
      }
      one.heard.push_back(std::move(send.reply));
    }
    for (const auto& reading : fx.peers.readings) readings[reading.from] = reading.goesOn;
    for (const ConnectionId connection : fx.peers.closes) {
      const auto owner = owners.find(connection);
      if (owner == owners.end()) continue;
      const int number = owner->second;
      ++peers[number].closes;
      disconnect(number);
    }
  }
  // No order belongs to two peers, ever.
  void told(int number, const wire::Admitted& admitted) {
    const auto [first, isNew] = orders.emplace(admitted.self.order, number);
    REQUIRE(first->second == number);
  }
  void replicate() {
    for (bool more = true; more;) {
      auto changes = master->registry.takeChanges(limits::kMembers);
      more = changes.more;
      if (changes.fromScratch) {
        const JoinOrder newest = replica.newest();
        replica = {};
        replica.learnNewest(newest);
      }
      replica.apply({changes.gone, changes.rows});
    }
  }
  // After each event of the master: no answer leaves before its change is copied.
  void finish(RemoteSessions::Messages messages) {
    replicate();
    for (auto& [home, message] : messages) {
      for (auto& one : homes) {
        if (one.number == home && one.sessions) one.coming.push_back(std::move(message));
      }
    }
    REQUIRE(master->fx.sends.empty());
    REQUIRE(master->fx.closes.empty());
    REQUIRE(master->fx.readings.empty());
    master->fx = {};
    const auto sound = master->registry.checkInvariants();
    INFO((sound ? std::string() : sound.error().message));
    REQUIRE(bool(sound));
  }
  // The next message to the master, and from it. False: there is none.
  bool deliverUp(std::size_t home) {
    auto& sent = homes[home].sent;
    if (sent.empty() || !master) return false;
    const auto message = std::move(sent.front());
    sent.pop_front();
    RemoteSessions::Messages messages;
    master->sessions.received(homes[home].number, message, now, master->fx, messages);
    finish(std::move(messages));
    return true;
  }
  bool deliverDown(std::size_t home) {
    auto& coming = homes[home].coming;
    if (coming.empty()) return false;
    auto message = std::move(coming.front());
    coming.pop_front();
    HomeSessions::Effects fx;
    homes[home].sessions->received(std::move(message), now, fx);
    carryOut(home, fx);
    return true;
  }
  void deliver() {
    for (bool any = true; any;) {
      any = false;
      for (std::size_t home = 0; home < homes.size(); ++home) {
        any = deliverUp(home) || any;
        any = deliverDown(home) || any;
      }
    }
  }
  void pass(Duration time, bool beats = true) {
    const TimePoint end = now + time;
    while (now < end) {
      now += std::chrono::milliseconds(500);
      for (auto& [number, one] : peers) {
        if (beats && one.connection != kNoConnection) send(number, wire::RegistryHeartbeat());
      }
      for (std::size_t home = 0; home < homes.size(); ++home) {
        HomeSessions::Effects fx;
        if (homes[home].sessions) homes[home].sessions->tick(replica, now, fx);
        carryOut(home, fx);
      }
      if (master) {
        RemoteSessions::Messages messages;
        master->registry.tick(now, master->fx);
        master->sessions.translate(now, master->fx, messages);
        finish(std::move(messages));
      }
      if (delivers) deliver();
    }
  }

  // --- metaservers
  void startMaster(Registry::Options options) {
    master = std::make_unique<Master>(std::move(options), now);
    replicate();
    for (std::size_t home = 0; home < homes.size(); ++home) {
      if (!homes[home].sessions) continue;
      HomeSessions::Effects fx;
      homes[home].sessions->masterChanged(now, fx);
      carryOut(home, fx);
    }
  }
  // It dies while it decides: nobody has a copy of that, and nobody was told.
  void killMasterOver(std::size_t home) {
    auto& sent = homes[home].sent;
    RemoteSessions::Messages lost;
    if (!sent.empty()) {
      master->sessions.received(homes[home].number, sent.front(), now, master->fx, lost);
    }
    killMaster();
  }
  void killMaster() {
    master.reset();
    for (std::size_t home = 0; home < homes.size(); ++home) {
      homes[home].sent.clear();
      homes[home].coming.clear();
      if (!homes[home].sessions) continue;
      HomeSessions::Effects fx;
      homes[home].sessions->masterLost(now, fx);
      carryOut(home, fx);
    }
  }
  void takeOver() {
    Registry::Options options = founding();
    for (const auto& [order, row] : replica.copy().rows()) options.away.push_back(*row);
    options.nextOrder = JoinOrder{espalier::number(replica.newest()) + 1};
    startMaster(std::move(options));
  }
  void killHome(std::size_t home) {
    homes[home].sessions.reset();
    homes[home].sent.clear();
    homes[home].coming.clear();
    for (auto& [number, one] : peers) {
      if (one.home == home && one.connection != kNoConnection) disconnect(number);
    }
    if (!master) return;
    RemoteSessions::Messages messages;
    master->sessions.homeGone(homes[home].number, now, master->fx, messages);
    finish(std::move(messages));
  }
  void startHome(std::size_t home) {
    homes[home].sessions = std::make_unique<HomeSessions>(homes[home].budget, now);
    HomeSessions::Effects fx;
    if (master) homes[home].sessions->masterChanged(now, fx);
    carryOut(home, fx);
  }
  // Each member with its place.
  std::string tree() const {
    std::string text;
    for (const auto& [order, shared] : replica.copy().rows()) {
      const MemberRow& row = *shared;
      text += fmt::format("{} {} on {} below {}:", espalier::number(order), row.contact.id.text(),
                          row.contact.endpoint.text(), espalier::number(row.above));
      for (const auto& neighbour : row.neighbours) text += " " + neighbour.text();
      text += "\n";
    }
    return text;
  }

  TimePoint now = kStart;
  std::array<Home, 2> homes{Home{ServerNumber{101}, kStart}, Home{ServerNumber{202}, kStart}};
  std::unique_ptr<Master> master;
  Directory replica;
  std::map<int, Peer> peers;
  std::map<ConnectionId, int> owners;
  std::map<ConnectionId, bool> readings;
  std::map<JoinOrder, int> orders;  // that were told
  std::uint64_t connections = 0;
  std::uint32_t joins = 0;
  bool delivers = true;  // pass() delivers messages
};

}  // namespace espalier::metaserver::cluster
