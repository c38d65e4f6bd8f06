// One coordinator without others around it: what it tells its peers when etcd decides, and when it
// is of a network.
#include <doctest/doctest.h>

#include <algorithm>
#include <variant>
#include <vector>

#include "metaserver/core/cluster/coordinator.h"
#include "tests/unit/registry_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::cluster;
using namespace std::chrono_literals;

namespace {

wire::ServerState stateOf(std::uint16_t number) {
  wire::ServerState state;
  state.name = *ServerName::parse("m" + std::to_string(number));
  state.number = ServerNumber{number};
  state.address = {"127.0.0.1", number};
  state.started = std::chrono::milliseconds(number);
  return state;
}

wire::NetworkId networkOf(std::uint8_t byte) {
  wire::NetworkId network;
  network.bytes[0] = byte;
  return network;
}

struct Lone {
  explicit Lone(bool isByEtcd) {
    Coordinator::Options options;
    options.self = stateOf(5);
    options.registry.network = networkOf(5);
    options.isCluster = true;
    options.isByEtcd = isByEtcd;
    options.named = isByEtcd ? 0 : 1;  // then it waits for that one
    options.etcdPrefix = "/e/";
    core.emplace(std::move(options), budget, random, now, fx);
  }
  void tick() {
    now += 1ms;
    core->tick(now, fx);
  }
  void join(int number) {
    const ConnectionId connection{static_cast<std::uint64_t>(2 * number)};
    wire::Join join;
    join.id = peer(number);
    join.key = key(number);
    join.word = "P2P";
    core->peerOpened(connection, "127.0.0.1", now, fx);
    core->peerReceived(connection, join, now, fx);
    tick();
  }
  // The numbers of the promises since the last call.
  std::vector<std::uint64_t> promises() {
    std::vector<std::uint64_t> numbers;
    for (const auto& promise : std::exchange(fx.promises, {})) numbers.push_back(promise.number);
    return numbers;
  }
  void keep(std::uint64_t number) { core->promised(number, now, fx); }
  std::size_t admissions() const {
    return static_cast<std::size_t>(std::count_if(
        fx.peers.sends.begin(), fx.peers.sends.end(),
        [](const Send& send) { return std::holds_alternative<wire::Admitted>(send.reply); }));
  }

  Budget budget;
  Random random{1};
  TimePoint now{1h};
  CoordinatorEffects fx;
  std::optional<Coordinator> core;
};

// It has become the master, and etcd has what it wrote for that.
void win(Lone& lone, std::uint32_t epoch) {
  lone.core->won({epoch, kNoServer}, {}, lone.now, lone.fx);
  lone.tick();
  for (const auto number : lone.promises()) lone.keep(number);
}

}  // namespace

TEST_CASE("nobody is told of an admission before etcd has it, nor of what follows a lost promise") {
  Lone lone(true);
  win(lone, 7);
  lone.join(1);
  const auto first = lone.promises();
  REQUIRE(first.size() == 1);
  lone.join(2);
  const auto second = lone.promises();
  REQUIRE(second.size() == 1);
  CHECK(lone.admissions() == 0);
  lone.keep(second[0]);  // the one before it was not written
  CHECK(lone.admissions() == 0);
  lone.keep(first[0]);
  CHECK(lone.admissions() == 1);
  lone.keep(second[0]);
  CHECK(lone.admissions() == 2);
}

TEST_CASE("who is not the master any more tells nothing of what was not kept") {
  Lone lone(true);
  win(lone, 7);
  lone.join(1);
  const auto numbers = lone.promises();
  REQUIRE(numbers.size() == 1);
  lone.core->lost(lone.now, lone.fx);
  lone.tick();
  lone.keep(numbers[0]);
  lone.tick();
  CHECK(lone.admissions() == 0);
  CHECK(lone.core->checkInvariants().ok());
}

TEST_CASE("a copy of the directory makes nobody a part of a network that it does not know yet") {
  Lone lone(false);
  Coordinator& core = *lone.core;
  const ConnectionId link{101};
  wire::Introduction introduction;
  introduction.state = stateOf(9);
  introduction.state.sequence = 1;
  core.linked({link, true, 1, introduction}, lone.now, lone.fx);
  const auto beat = [&](wire::ServerState own, std::uint64_t sequence) {
    own.sequence = sequence;
    own.heard = {ServerNumber{5}};
    core.linkReceived(link, {{}, wire::Beat{std::move(own), {}}}, lone.now, lone.fx);
    lone.tick();
  };
  beat(stateOf(9), 2);

  const Epoch epoch{1, ServerNumber{9}};
  Directory directory;
  MemberRow row;
  row.contact = {peer(1), JoinOrder{1}, {"127.0.0.1", 6001}};
  row.key = key(1);
  directory.put(row);
  const auto summary = directory.summary(wire::DirectoryVersion{epoch, 1});
  core.linkReceived(link, {{}, wire::Position{summary, 0}}, lone.now, lone.fx);
  lone.tick();
  std::uint64_t pull = 0;
  for (const auto& message : lone.fx.messages) {
    if (const auto* one = std::get_if<wire::Pull>(&message.message)) pull = one->number;
  }
  REQUIRE(pull != 0);
  core.linkReceived(link,
                    {{}, wire::SnapshotPage{pull, summary, kNoOrder, wire::kAllOrders, {row}}},
                    lone.now, lone.fx);
  lone.tick();
  REQUIRE(core.directory().count() == 1);
  CHECK_FALSE(core.introduce().state.isFounded);

  auto master = stateOf(9);
  master.network = networkOf(9);
  master.isFounded = true;
  master.isDeciding = true;
  master.epoch = epoch;
  master.have = {epoch, 1};
  beat(master, 3);
  lone.tick();
  CHECK(core.standing().master == master.name);
  CHECK(core.introduce().state.isFounded);
  CHECK(core.introduce().state.network == networkOf(9));
}
