// A few metaservers and peers that do as they are told, on a virtual clock, for tests of the
// coordinator.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <string>
#include <variant>
#include <vector>

#include "tests/support/cluster_network.h"
#include "tests/unit/registry_fixture.h"

namespace espalier::test {

using namespace std::chrono_literals;

// A peer sN joins, reports the link to which it was referred (as its parent does), sends
// heartbeats, and goes to another metaserver with what it knows when its connection ends.
struct Cluster : ClusterNetwork::Outside {
  struct Peer {
    std::optional<std::size_t> home;  // where its connection is
    unsigned run = 0;                 // of the home
    ConnectionId connection{};
    std::optional<wire::Admitted> admitted;
    wire::Links links;
    bool isJoined = false;  // on this connection
    bool isGone = false;    // it has left for good
    bool isCutOff = false;  // it lives, and listens, but does not come back
    int connections = 0;
    std::vector<wire::RegistryReply> heard;  // but heartbeats
  };

  explicit Cluster(std::size_t count, bool isCluster = true, ClusterNetwork::Settings settings = {},
                   std::uint64_t seed = 1)
      : network(*this, settings, seed) {
    for (std::size_t i = 0; i < count; ++i) {
      network.add(isCluster ? std::set<std::size_t>{0} : std::set<std::size_t>{}, isCluster);
    }
  }
  void startAll() {
    for (std::size_t i = 0; i < network.size(); ++i) {
      network.start(i);
      run(20ms);  // so the first one is the oldest
    }
  }

  // --- Outside
  TimePoint now() const override { return now_; }
  void at(TimePoint when, std::function<void()> action) override {
    events_.push({std::max(when, now_), ++order_, std::move(action)});
  }
  void toPeer(std::size_t server, ConnectionId connection,
              const wire::RegistryReply& reply) override {
    at(now_ + 1ms, [=, this] { heard(server, connection, reply); });
  }
  void closePeer(std::size_t server, ConnectionId connection) override {
    at(now_ + 1ms, [=, this] {
      for (auto& [number, one] : peers) {
        if (one.home == server && one.connection == connection) lost(number);
      }
    });
  }
  bool listens(const Endpoint& endpoint) const override {
    return std::any_of(peers.begin(), peers.end(), [&](const auto& one) {
      return one.second.admitted && !one.second.isGone &&
             one.second.admitted->self.endpoint == endpoint;
    });
  }
  void log(const std::string& line) override {
    if (std::getenv("ESPALIER_TEST_TRACE") != nullptr) {
      fmt::print("{:9.3f} {}\n", std::chrono::duration<double>(now_.time_since_epoch()).count(),
                 line);
    }
  }
  void fail(std::string what) override {
    log("FAILURE " + what);
    FAIL_CHECK(what);
  }

  void run(Duration time) {
    const TimePoint end = now_ + time;
    while (!events_.empty() && events_.top().at <= end) {
      const auto event = events_.top();
      events_.pop();
      now_ = event.at;
      event.happen();
    }
    now_ = end;
  }
  // Until the cluster is at rest and has that many members; ten seconds at most.
  void settle(std::size_t members) {
    std::optional<std::string> wrong;
    for (int i = 0; i < 100; ++i) {
      run(100ms);
      wrong = network.judge();
      if (!wrong) wrong = whatIsWrong(members);
      if (wrong) continue;
      if (members == 0) run(metaserver::cluster::kFoundingWait);  // then peers may come
      return;
    }
    FAIL_CHECK(*wrong);
  }
  std::optional<std::string> whatIsWrong(std::size_t members) const {
    for (std::size_t i = 0; i < network.size(); ++i) {
      if (!network.runs(i) || network.core(i).isSingle()) continue;
      const auto& copy = network.core(i).directory().copy();
      if (copy.rows().size() != members) {
        return fmt::format("{} members at m{}, not {}", copy.rows().size(), 5000 + i, members);
      }
      for (const auto& [number, one] : peers) {
        if (one.isGone || one.isCutOff) continue;
        const auto* row = copy.find(metaserver::peer(number));
        if (!row) return fmt::format("s{} is not in the directory of m{}", number, 5000 + i);
        if (!one.isJoined || !one.home) return fmt::format("s{} has no home", number);
        if (row->contact != one.admitted->self) return fmt::format("s{} is another", number);
        const bool atMaster = network.core(*one.home).registry() != nullptr;
        const auto home = atMaster ? row->home : network.numberOf(*one.home);
        if (row->home != home) return fmt::format("s{} is elsewhere", number);
      }
    }
    return std::nullopt;
  }

  // --- peers
  wire::Join joinOf(int number) const {
    wire::Join join;
    join.id = metaserver::peer(number);
    join.key = metaserver::key(number);
    join.word = "P2P";
    const auto found = peers.find(number);
    if (found == peers.end()) return join;
    const Peer& one = found->second;
    join.generation = static_cast<std::uint32_t>(one.connections);
    if (!one.admitted) return join;
    join.network = one.admitted->network;
    join.order = one.admitted->self.order;
    join.listen = one.admitted->self.endpoint;
    join.parent = one.links.parent;
    join.neighbours = one.links.neighbours;
    return join;
  }
  void join(int number, std::size_t home) {
    Peer& one = peers[number];
    one.home = home;
    one.run = network.run(home);
    one.connection = ConnectionId{++connections_ * 2};
    one.isJoined = false;
    ++one.connections;
    at(now_ + 1ms, [=, this, connection = one.connection, run = one.run] {
      if (!network.runs(home) || network.run(home) != run) return lost(number);
      network.peerOpened(home, connection);
      network.peerReceived(home, connection, joinOf(number));
    });
    if (one.connections == 1) beat(number);
  }
  void joinAndReport(int number, std::size_t home) {
    join(number, home);
    run(200ms);
  }
  void send(int number, const wire::RegistryRequest& request) {
    Peer& one = peers[number];
    if (one.home && network.runs(*one.home) && network.run(*one.home) == one.run) {
      network.peerReceived(*one.home, one.connection, request);
    }
  }
  void quit(int number) {
    send(number, wire::Quit());
    disconnect(number);
    peers[number].isGone = true;
    for (auto& [other, one] : peers) unlink(other, number);
  }
  void cutOff(int number) {
    peers[number].isCutOff = true;
    disconnect(number);
  }
  void crash(int number) {
    disconnect(number);
    peers[number].isGone = true;
    for (auto& [other, one] : peers) unlink(other, number);
  }
  template <typename Reply>
  int count(int number) const {
    const auto& heard = peers.at(number).heard;
    return static_cast<int>(std::count_if(heard.begin(), heard.end(), [](const auto& one) {
      return std::holds_alternative<Reply>(one);
    }));
  }

  // --- metaservers
  void ended(std::size_t i) override { lostHome(i, 1ms); }
  void kill(std::size_t i, bool silently = false) {
    network.kill(i, silently);
    if (silently) lostHome(i, 3s);
  }
  void lostHome(std::size_t i, Duration after) {
    for (auto& [number, one] : peers) {
      if (one.home != i) continue;
      at(now_ + after, [=, this, number = number, connection = one.connection] {
        if (peers[number].connection == connection) lost(number);
      });
    }
  }
  // Each member with its place, as that metaserver has it.
  std::string tree(std::size_t i) const {
    std::string text;
    for (const auto& [order, shared] : network.core(i).directory().copy().rows()) {
      const metaserver::MemberRow& row = *shared;
      text += fmt::format("{} {} on {} below {}:", espalier::number(order), row.contact.id.text(),
                          row.contact.endpoint.text(), espalier::number(row.above));
      for (const auto& neighbour : row.neighbours) text += " " + neighbour.text();
      text += "\n";
    }
    return text;
  }
  std::string topo(std::size_t i) const {
    return topo::format(network.core(i).directory().copy().lines());
  }

  ClusterNetwork network;
  std::map<int, Peer> peers;

 private:
  struct Event {
    TimePoint at;
    std::uint64_t order;
    std::function<void()> happen;
    bool operator<(const Event& other) const {
      return std::tie(at, order) > std::tie(other.at, other.order);
    }
  };

  void heard(std::size_t server, ConnectionId connection, const wire::RegistryReply& reply) {
    for (auto& [number, one] : peers) {
      if (one.home != server || one.connection != connection || one.isGone) continue;
      log(fmt::format("s{} hears {}", number, reply.index()));
      if (std::holds_alternative<wire::RegistryHeartbeatReply>(reply)) return;
      one.heard.push_back(reply);
      if (const auto* admitted = std::get_if<wire::Admitted>(&reply)) {
        if (one.admitted && one.admitted->self.order != admitted->self.order) one.links = {};
        one.admitted = *admitted;
        one.isJoined = true;
        follow(number, admitted->referral);
      } else if (const auto* referral = std::get_if<wire::Referral>(&reply)) {
        follow(number, *referral);
      }
    }
  }
  // Both ends report the link to which it was referred.
  void follow(int number, const wire::Referral& referral) {
    Peer& one = peers[number];
    if (referral.kind != wire::Referral::Kind::below || one.links.parent) return;
    for (auto& [other, above] : peers) {
      if (metaserver::peer(other) != referral.parent.id || above.isGone || !above.admitted)
        continue;
      one.links.parent = metaserver::peer(other);
      one.links.neighbours.push_back(metaserver::peer(other));
      above.links.neighbours.push_back(metaserver::peer(number));
      send(other, above.links);
      send(number, one.links);
    }
  }
  void unlink(int number, int gone) {
    Peer& one = peers[number];
    if (std::erase(one.links.neighbours, metaserver::peer(gone)) == 0 || one.isGone) return;
    const bool isOrphan = one.links.parent == metaserver::peer(gone);
    if (isOrphan) one.links.parent.reset();
    send(number, one.links);
    if (isOrphan) send(number, wire::Seek{metaserver::peer(gone), {}});
  }
  void disconnect(int number) {
    Peer& one = peers[number];
    if (!one.home) return;
    const auto home = *std::exchange(one.home, std::nullopt);
    one.isJoined = false;
    if (network.run(home) == one.run) network.peerClosed(home, one.connection);
  }
  // Its connection has ended: it tries the metaservers that run, in turn.
  void lost(int number) {
    Peer& one = peers[number];
    const auto before = std::exchange(one.home, std::nullopt);
    one.isJoined = false;
    if (one.isGone || one.isCutOff || !before) return;
    const std::size_t home = (*before + 1) % network.size();
    at(now_ + 200ms, [=, this] {
      if (!peers[number].home && !peers[number].isGone) join(number, home);
    });
  }
  void beat(int number) {
    log(fmt::format("s{} beats {}", number, peers[number].isJoined));
    if (peers[number].isGone) return;
    if (peers[number].isJoined) send(number, wire::RegistryHeartbeat());
    at(now_ + 1s, [=, this] { beat(number); });
  }

  TimePoint now_{};
  std::priority_queue<Event> events_;
  std::uint64_t order_ = 0;
  std::uint64_t connections_ = 0;
};

}  // namespace espalier::test
