// One metaserver's side of mastership by etcd, step by step.
#include "metaserver/core/cluster/mastership.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/unit/etcd_world.h"

using namespace espalier;
using namespace espalier::metaserver::cluster;
using namespace std::chrono_literals;

namespace {

TimePoint at(Duration time) {
  return TimePoint(time);
}

// A core whose requests the test answers itself.
struct Script {
  Script() : core(config(), at(0s)) { core.tick(at(0s), fx); }
  static Mastership::Config config() {
    Mastership::Config config;
    config.self = candidate(1);
    config.codec = {encodeCandidate, decodeCandidate};
    return config;
  }
  // The latest request of that kind; the test fails without one.
  template <typename What>
  std::pair<std::uint64_t, What> last() {
    for (auto one = fx.requests.rbegin(); one != fx.requests.rend(); ++one) {
      if (const auto* what = std::get_if<What>(&one->what)) return {one->number, *what};
    }
    FAIL("no such request");
    return {};
  }
  template <typename What>
  void answer(TimePoint now, decltype(etcd::Answer::what) what) {
    const auto number = last<What>().first;
    core.answered({number, std::move(what)}, now, fx);
  }
  template <typename Event>
  std::size_t count() const {
    return static_cast<std::size_t>(
        std::count_if(fx.events.begin(), fx.events.end(),
                      [](const auto& event) { return std::holds_alternative<Event>(event); }));
  }
  std::vector<PromiseOutcome> outcomes() const {
    std::vector<PromiseOutcome> all;
    for (const auto& event : fx.events) {
      if (const auto* promised = std::get_if<Promised>(&event)) all.push_back(promised->outcome);
    }
    return all;
  }
  // Granted, read, written, read again, taken: by `now`.
  void becomeMaster(TimePoint now) {
    answer<etcd::LeaseGrant>(now, etcd::Granted{etcd::LeaseId{7}, 3s});
    // The first read was sent before the lease was there: it is answered, and repeated.
    answer<etcd::Range>(now, etcd::Ranged{5, {}, false});
    answer<etcd::Range>(now, etcd::Ranged{5, {}, false});
    answer<etcd::Txn>(now, etcd::TxnDone{true, 6, {}});
    watched(
        now, 6,
        {core.key("cluster/candidates/m1"), encodeCandidate(candidate(1)), 6, 6, etcd::LeaseId{7}});
    answer<etcd::Txn>(now, etcd::TxnDone{true, 7, {}});
    REQUIRE(core.isMaster(now));
  }
  void watched(TimePoint now, etcd::Revision revision, const etcd::KeyValue& key) {
    const auto number = last<etcd::Watch>().first;
    core.answered({number, etcd::Watched{revision, {{key, false}}}}, now, fx);
  }

  EtcdEffects fx;
  Mastership core;
};

std::vector<etcd::Operation> puts(std::size_t first, std::size_t count) {
  std::vector<etcd::Operation> all;
  for (std::size_t index = 0; index < count; ++index) {
    all.emplace_back(etcd::Put{fmt::format("k{}", first + index), "v", etcd::kNoLease});
  }
  return all;
}

}  // namespace

TEST_CASE("a lease counts from when its grant was sent, not from the answer") {
  Script script;
  script.becomeMaster(at(1s));
  CHECK(script.core.isMaster(at(2399ms)));
  CHECK_FALSE(script.core.isMaster(at(2400ms)));
}

TEST_CASE("a renewal counts from when it was sent") {
  Script script;
  script.becomeMaster(at(0s));
  script.core.tick(at(1s), script.fx);
  script.answer<etcd::LeaseKeepAlive>(at(2s), etcd::Renewed{3s});
  CHECK(script.core.isMaster(at(3399ms)));
  CHECK_FALSE(script.core.isMaster(at(3400ms)));
}

TEST_CASE("a renewal that was refused ends mastership at once") {
  Script script;
  script.becomeMaster(at(0s));
  script.core.tick(at(1s), script.fx);
  script.answer<etcd::LeaseKeepAlive>(at(1s), etcd::Renewed{0s});
  CHECK_FALSE(script.core.isMaster(at(1s)));
  CHECK(script.count<Lost>() == 1);
}

TEST_CASE("a master that stood still has lost mastership before it does anything else") {
  Script script;
  script.becomeMaster(at(0s));
  script.core.tick(at(1s), script.fx);
  script.fx = {};
  script.core.promise(4, puts(0, 1), at(9s), script.fx);
  REQUIRE(script.fx.events.size() >= 2);
  CHECK(std::holds_alternative<Lost>(script.fx.events[0]));
  const auto* promised = std::get_if<Promised>(&script.fx.events[1]);
  REQUIRE(promised);
  CHECK(promised->outcome == PromiseOutcome::notMaster);
  // The lease is not taken up again, also if etcd still has it.
  CHECK(script.last<etcd::LeaseRevoke>().second.lease == etcd::LeaseId{7});
  CHECK_NOTHROW(script.last<etcd::LeaseGrant>());
}

TEST_CASE("a promise that was sent when mastership ended has an unknown outcome") {
  Script script;
  script.becomeMaster(at(0s));
  script.core.promise(4, puts(0, 1), at(1s), script.fx);
  script.core.promise(5, puts(1, 1), at(1s), script.fx);
  script.fx.events.clear();
  script.core.tick(at(9s), script.fx);
  CHECK(script.outcomes() == std::vector{PromiseOutcome::unknown, PromiseOutcome::notMaster});
}

TEST_CASE("a promise whose answer was lost is sent again, and kept if etcd has it") {
  Script script;
  script.becomeMaster(at(0s));
  script.core.promise(4, puts(0, 1), at(100ms), script.fx);
  const auto first = script.last<etcd::Txn>();
  script.answer<etcd::Txn>(at(200ms), etcd::Failed{"no answer"});
  script.core.tick(at(400ms), script.fx);
  const auto second = script.last<etcd::Txn>();
  CHECK(second.first != first.first);
  const std::vector<etcd::KeyValue> there{{script.core.key("cluster/master"), "", 7, 7, {}},
                                          {script.core.key("written"), "7", 3, 9, {}}};
  script.answer<etcd::Txn>(at(500ms), etcd::TxnDone{false, 9, there});
  CHECK(script.core.isMaster(at(500ms)));
  CHECK(script.outcomes() == std::vector{PromiseOutcome::kept});
}

TEST_CASE("a promise that meets another master's key ends mastership") {
  Script script;
  script.becomeMaster(at(0s));
  script.core.promise(4, puts(0, 1), at(100ms), script.fx);
  const std::vector<etcd::KeyValue> there{{script.core.key("cluster/master"), "", 9, 9, {}},
                                          {script.core.key("written"), "9", 3, 9, {}}};
  script.answer<etcd::Txn>(at(500ms), etcd::TxnDone{false, 9, there});
  CHECK_FALSE(script.core.isMaster(at(500ms)));
  CHECK(script.outcomes() == std::vector{PromiseOutcome::unknown});
}

TEST_CASE("who leaves revokes its lease, and sends nothing more") {
  Script script;
  script.becomeMaster(at(0s));
  script.fx = {};
  script.core.leave(at(1s), script.fx);
  CHECK(script.count<Lost>() == 1);
  script.answer<etcd::LeaseRevoke>(at(1s), etcd::Revoked{});
  CHECK(script.count<Left>() == 1);
  script.core.tick(at(2s), script.fx);
  CHECK(script.fx.requests.size() == 1);
  CHECK(script.core.deadline() == kNever);
}

TEST_CASE("a metaserver that is alone at etcd is the master; epochs count masterships") {
  EtcdWorld world(1, 1);
  world.etcd.setRevision(100'000'000);  // others have used it
  for (std::uint32_t epoch = 1; epoch <= 3; ++epoch) {
    world.run(5s);
    REQUIRE(world.isMaster(world.nodes[0]));
    const auto& keys = world.etcd.keys();
    const auto& master = keys.at("/espalier/cluster/master");
    const auto& counted = keys.at("/espalier/cluster/epoch");
    CHECK(world.nodes[0].core->epoch() == Epoch{epoch, kNoServer});
    CHECK(world.nodes[0].core->mastership() == master.created);
    CHECK(counted.value == std::to_string(epoch));
    CHECK(counted.modified == master.created);
    CHECK(counted.lease == etcd::kNoLease);
    world.stop(0);
    world.run(5s);
    world.start(0);
  }
}

TEST_CASE("the rule decides who takes a vacancy, and nobody takes it from a living master") {
  EtcdWorld world(2, 3);
  world.stop(0);
  world.run(2s);
  auto* master = world.master();
  REQUIRE(master);
  const auto name = master->core->master()->name;
  world.start(0);  // older than both
  world.run(10s);
  CHECK(world.master()->core->master()->name == name);

  world.stop(static_cast<std::size_t>(master - world.nodes.data()));
  world.run(5s);
  CHECK(world.isMaster(world.nodes[0]));
}

TEST_CASE("mastership goes to the heir, before the rule") {
  EtcdWorld world(3, 3);
  world.run(3s);
  auto* master = world.master();
  REQUIRE(master);
  const auto index = static_cast<std::size_t>(master - world.nodes.data());
  const auto heir = index == 2 ? 1 : 2;
  world.step(index, [&](Mastership& core, TimePoint now, EtcdEffects& fx) {
    core.handOver(candidate(static_cast<unsigned>(heir)).name, now, fx);
  });
  CHECK_FALSE(world.isMaster(world.nodes[index]));
  world.run(500ms);
  CHECK(world.isMaster(world.nodes[static_cast<std::size_t>(heir)]));
  CHECK_FALSE(world.etcd.keys().contains("/espalier/cluster/heir"));
}

TEST_CASE("an heir that does not take mastership does not keep it from others") {
  EtcdWorld world(4, 3);
  world.run(3s);
  auto* master = world.master();
  REQUIRE(master);
  const auto index = static_cast<std::size_t>(master - world.nodes.data());
  const std::size_t heir = index == 2 ? 1 : 2;
  world.nodes[heir].stalledUntil = world.now + 60s;
  world.step(index, [&](Mastership& core, TimePoint now, EtcdEffects& fx) {
    core.handOver(candidate(static_cast<unsigned>(heir)).name, now, fx);
  });
  world.run(5s);
  CHECK(world.master() != nullptr);
}

TEST_CASE("one that drains hands over, and takes nothing") {
  EtcdWorld world(5, 2);
  world.run(3s);
  auto* master = world.master();
  REQUIRE(master);
  const auto index = static_cast<std::size_t>(master - world.nodes.data());
  world.step(index, [&](Mastership& core, TimePoint now, EtcdEffects& fx) {
    core.setPeers(0, true, now, fx);
  });
  world.run(2s);
  CHECK(world.isMaster(world.nodes[1 - index]));
  world.stop(1 - index);
  world.run(10s);
  CHECK(world.master() == nullptr);
}

TEST_CASE("without a next epoch nobody takes mastership, and it is told why") {
  EtcdWorld world(6, 1);
  world.stop(0);
  const auto put = [&](const std::string& value) {
    etcd::Txn txn;
    txn.then.emplace_back(etcd::Put{"/espalier/cluster/epoch", value, etcd::kNoLease});
    world.etcd.apply({1, txn}, world.now);
  };
  for (const std::string& value :
       {std::to_string(limits::kEpochCounter), std::string("8388608"), std::string("0"),
        std::string("-1"), std::string("1 "), std::string("mine"), std::string()}) {
    CAPTURE(value);
    put(value);
    world.start(0);
    world.run(5s);
    CHECK(world.master() == nullptr);
    CHECK(world.nodes[0].core->trouble() ==
          "the key /espalier/cluster/epoch is not that of a metaserver, or at its end, 8388607");
    world.stop(0);
  }
  put(std::to_string(limits::kEpochCounter - 1));
  world.start(0);
  world.run(5s);
  REQUIRE(world.isMaster(world.nodes[0]));
  CHECK(world.nodes[0].core->epoch() == Epoch{limits::kEpochCounter, kNoServer});
}

TEST_CASE("a name that another candidate has is not taken, and it is told whose it is") {
  EtcdWorld world(7, 1);
  world.run(1s);
  auto config = Script::config();
  config.self = candidate(0);
  config.self.number = ServerNumber{9};
  auto& node = world.nodes.emplace_back();
  node.core.emplace(std::move(config), world.localTime(node));
  world.step(1, [](Mastership& core, TimePoint now, EtcdEffects& fx) { core.tick(now, fx); });
  world.run(5s);
  CHECK(world.nodes[1].core->trouble() ==
        "the name m0 is that of the metaserver at 127.0.0.1:5000");
  CHECK(world.isMaster(world.nodes[0]));
  world.stop(0);
  world.run(5s);
  CHECK(world.isMaster(world.nodes[1]));
  CHECK(world.nodes[1].core->trouble().empty());
}

TEST_CASE("keys are read in pages of one revision") {
  EtcdWorld world(8, 1);
  world.run(1s);
  etcd::Txn txn;
  for (int index = 0; index < 1500; ++index) {
    txn.then.emplace_back(
        etcd::Put{fmt::format("/espalier/ids/{:04}", index), "v", etcd::kNoLease});
  }
  world.etcd.apply({1, txn}, world.now);
  std::vector<etcd::KeyValue> all;
  EtcdEffects fx;
  auto& core = *world.nodes[0].core;
  const auto now = world.localTime(world.nodes[0]);
  for (bool more = true; more;) {
    fx = {};
    core.readPage(1, "ids/", all.empty() ? "" : all.back().key, 0, now, fx);
    REQUIRE_FALSE(fx.requests.empty());
    core.answered({fx.requests.back().number, world.etcd.apply(fx.requests.back(), world.now)}, now,
                  fx);
    const auto& page = std::get<PageRead>(fx.events.back()).page;
    REQUIRE(page);
    all.insert(all.end(), page->keys.begin(), page->keys.end());
    more = page->more;
  }
  CHECK(all.size() == 1500);
  CHECK(all.front().key == "/espalier/ids/0000");
}

TEST_CASE("promises share transactions, up to as many operations as etcd takes") {
  Promises promises("m", "w");
  promises.begin(3);
  CHECK(promises.add(1, puts(0, 60)));
  CHECK(promises.add(2, puts(60, 60)));
  CHECK(promises.add(3, puts(120, 1)));
  const auto txn = promises.next();
  REQUIRE(txn);
  CHECK(txn->then.size() == limits::kPromiseOperations + 1);  // and the written key
  CHECK_FALSE(promises.next());
  std::vector<Promised> outcomes;
  CHECK(promises.done({true, 8, {}}, outcomes));
  CHECK(outcomes.size() == 2);
  CHECK(promises.next()->then.size() == 2);
}

TEST_CASE("two promises about one key are two transactions") {
  Promises promises("m", "w");
  promises.begin(3);
  CHECK(promises.add(1, puts(0, 1)));
  CHECK(promises.add(2, puts(0, 1)));
  CHECK(promises.next()->then.size() == 2);
}

TEST_CASE("promises that etcd would not take are refused") {
  Promises promises("m", "w");
  promises.begin(3);
  CHECK_FALSE(promises.add(1, {}));
  CHECK_FALSE(promises.add(1, puts(0, limits::kPromiseOperations + 1)));
  CHECK(promises.add(1, puts(0, limits::kPromiseOperations)));
  auto twice = puts(0, 1);
  twice.push_back(twice.front());
  CHECK_FALSE(promises.add(1, twice));
  using etcd::Put;
  CHECK_FALSE(promises.add(1, {Put{std::string(limits::kEtcdKeyBytes + 1, 'k'), "", {}}}));
  CHECK(promises.add(1, {Put{std::string(limits::kEtcdKeyBytes, 'k'), "", {}}}));
  CHECK_FALSE(promises.add(1, {Put{"k", std::string(limits::kEtcdValueBytes + 1, 'v'), {}}}));
  std::size_t waiting = limits::kPromiseOperations + 1;
  for (; promises.add(2, puts(0, 1)); ++waiting) {
  }
  CHECK(waiting == limits::kPromisesWaiting);
}

TEST_CASE("a watch that ends, as by a compaction, is read again and watched from there") {
  WatchedKeys keys("a", "b");
  EtcdNumbers numbers;
  std::vector<etcd::Request> out;
  keys.tick(at(0s), numbers, out);
  keys.answered({out.back().number, etcd::Ranged{10, {}, false}}, at(0s));
  keys.tick(at(0s), numbers, out);
  CHECK(std::get<etcd::Watch>(out.back().what).from == 11);

  keys.answered({out.back().number, etcd::WatchEnded{"compacted"}}, at(100ms));
  keys.tick(keys.deadline(), numbers, out);
  keys.answered({out.back().number, etcd::Ranged{20, {{"ab", "v", 15, 15, {}}}, false}}, at(1s));
  keys.tick(at(1s), numbers, out);
  CHECK(std::get<etcd::Watch>(out.back().what).from == 21);
  CHECK(keys.find("ab") != nullptr);
}

TEST_CASE("a watch that tells nothing of what a read shows is begun again") {
  WatchedKeys keys("a", "b");
  EtcdNumbers numbers;
  std::vector<etcd::Request> out;
  keys.tick(at(0s), numbers, out);
  keys.answered({out.back().number, etcd::Ranged{10, {}, false}}, at(0s));
  keys.tick(at(0s), numbers, out);
  const auto watch = out.back().number;
  keys.tick(at(2s), numbers, out);
  keys.answered({out.back().number, etcd::Ranged{12, {{"ab", "v", 12, 12, {}}}, false}}, at(2s));
  keys.tick(at(2s), numbers, out);
  CHECK(std::get<etcd::Watch>(out.back().what).from == 13);
  CHECK_FALSE(keys.answered({watch, etcd::Watched{13, {}}}, at(2s)));  // the old one
}

TEST_CASE("a watch that goes back in time changes nothing") {
  WatchedKeys keys("a", "b");
  EtcdNumbers numbers;
  std::vector<etcd::Request> out;
  keys.tick(at(0s), numbers, out);
  keys.answered({out.back().number, etcd::Ranged{10, {{"ab", "new", 9, 9, {}}}, false}}, at(0s));
  keys.tick(at(0s), numbers, out);
  keys.answered({out.back().number, etcd::Watched{8, {{{"ab", "old", 7, 7, {}}, false}}}}, at(1s));
  CHECK(keys.find("ab")->value == "new");
  CHECK(keys.revision() == 10);
}
