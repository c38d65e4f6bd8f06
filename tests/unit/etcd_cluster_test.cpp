// Masters by real etcds, which are killed and stopped. Takes seconds: a lease has three.
#include <doctest/doctest.h>

#include "tests/unit/etcd_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::etcd::test;
using cluster::Lost;
using cluster::MasterSeen;
using cluster::PageRead;
using cluster::Promised;
using cluster::PromiseOutcome;
using cluster::Won;
using etcd::parseUrl;

namespace {

std::int64_t milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

bool allSee(Process& process, const std::string& name) {
  return std::all_of(process.servers.begin(), process.servers.end(), [&](const auto& one) {
    const auto& seen = one->engine->core().master();
    return seen && seen->name.text() == name;
  });
}

std::vector<cluster::etcd::Operation> putOf(const Process::Metaserver& server,
                                            const std::string& part, const std::string& value) {
  return {cluster::etcd::Put{server.engine->core().key(part), value, cluster::etcd::kNoLease}};
}

// Whether that etcd leads the others.
bool leads(const std::string& url) {
  const auto status = etcd::test::call(url, "/v3/maintenance/status", nlohmann::json::object());
  return status["leader"] == status["header"]["member_id"];
}

// Waits until one leads.
std::size_t leaderOf(const EtcdCluster& etcd) {
  Process process;
  auto& server = process.add(9, etcd.urls);
  REQUIRE(process.runUntil([&] { return server.engine->isMaster(); }));
  server.engine->leave();
  REQUIRE(process.runUntil([&] { return server.count<cluster::Left>() == 1; }));
  std::size_t leader = 0;
  while (!leads(etcd.urls[leader])) ++leader;
  return leader;
}

void promiseAndExpect(Process& process, Process::Metaserver& server, std::uint64_t number,
                      PromiseOutcome outcome) {
  server.engine->promise(number, putOf(server, fmt::format("ids/p{}", number), "v"));
  REQUIRE(process.runUntil([&] {
    const auto* last = server.last<Promised>();
    return last && last->number == number;
  }));
  CHECK(server.last<Promised>()->outcome == outcome);
}

}  // namespace

TEST_CASE("one of three metaservers at a real etcd is the master, and the next one follows it") {
  EtcdCluster etcd(1);
  Process process;
  auto& first = process.add(0, etcd.urls);
  REQUIRE(process.runUntil([&] { return first.engine->isMaster(); }));
  process.add(1, etcd.urls);
  process.add(2, etcd.urls);
  REQUIRE(process.runUntil([&] { return allSee(process, "m0"); }));
  const Epoch epoch = first.last<Won>()->epoch;
  CHECK(process.servers[2]->last<MasterSeen>()->epoch == epoch);

  promiseAndExpect(process, first, 1, PromiseOutcome::kept);
  promiseAndExpect(process, *process.servers[1], 2, PromiseOutcome::notMaster);

  // Killed: the lease ends by itself.
  const TimePoint killedAt = Clock::now();
  process.servers.erase(process.servers.begin());
  REQUIRE(process.runUntil([&] { return process.master() != nullptr; }));
  const auto took = Clock::now() - killedAt;
  MESSAGE("a killed master is followed after ", milliseconds(took), " ms");
  CHECK(took < 6s);
  auto& second = *process.master();
  CHECK(second.engine->core().master()->name.text() == "m1");
  CHECK(epoch < second.last<Won>()->epoch);

  // It reads what the older one has promised.
  second.engine->readPage(7, "ids/", "", 0);
  REQUIRE(process.runUntil([&] { return second.count<PageRead>() == 1; }));
  REQUIRE(second.last<PageRead>()->page);
  REQUIRE(second.last<PageRead>()->page->keys.size() == 1);
  CHECK(second.last<PageRead>()->page->keys[0].key == "/espalier/ids/p1");

  // Handed over, and left: faster than a lease.
  const TimePoint handedAt = Clock::now();
  second.engine->handOver(etcd::test::candidate(2).name);
  REQUIRE(process.runUntil([&] { return process.servers[1]->engine->isMaster(); }));
  MESSAGE("handed over after ", milliseconds(Clock::now() - handedAt), " ms");
  process.servers[1]->engine->leave();
  REQUIRE(process.runUntil([&] { return process.servers[1]->count<cluster::Left>() == 1; }));
  REQUIRE(process.runUntil([&] { return second.engine->isMaster(); }));
  MESSAGE("handed over and left after ", milliseconds(Clock::now() - handedAt), " ms");
  CHECK(Clock::now() - handedAt < 2500ms);
}

TEST_CASE("a master that stood still finds its mastership lost, and etcd refuses its promises") {
  EtcdCluster etcd(1);
  Process stalled;
  auto& old = stalled.add(0, etcd.urls);
  REQUIRE(stalled.runUntil([&] { return old.engine->isMaster(); }));
  promiseAndExpect(stalled, old, 1, PromiseOutcome::kept);
  const auto created = old.engine->core().mastership();

  Process other;
  auto& next = other.add(1, etcd.urls);
  REQUIRE(other.runUntil([&] { return next.engine->isMaster(); }));
  CHECK_FALSE(old.engine->isMaster());
  promiseAndExpect(other, next, 2, PromiseOutcome::kept);

  // What the old master would have sent: etcd has another master by now.
  cluster::Promises promises("/espalier/cluster/master", "/espalier/written");
  promises.begin(created);
  REQUIRE(promises.add(1, putOf(old, "ids/p1", "stale")));
  const cluster::etcd::Request request{1, *promises.next()};
  const auto toSend = etcd::callOf(request);
  const auto body = etcd::test::call(etcd.urls[0], toSend.path, nlohmann::json::parse(toSend.body));
  const auto answer = etcd::readAnswer(request, body.dump());
  REQUIRE(answer);
  std::vector<Promised> outcomes;
  CHECK_FALSE(std::get<cluster::etcd::TxnDone>(*answer).succeeded);
  CHECK_FALSE(promises.done(std::get<cluster::etcd::TxnDone>(*answer), outcomes));

  promiseAndExpect(stalled, old, 3, PromiseOutcome::notMaster);
  CHECK(old.count<Lost>() == 1);
}

TEST_CASE("a dead etcd of three, to which everybody is connected, changes nothing") {
  EtcdCluster etcd(3);
  const std::size_t leader = leaderOf(etcd);
  std::swap(etcd.urls[0], etcd.urls[(leader + 1) % 3]);  // each begins with the first one
  Process process;
  auto& first = process.add(0, etcd.urls);
  REQUIRE(process.runUntil([&] { return first.engine->isMaster(); }));
  process.add(1, etcd.urls);
  REQUIRE(process.runUntil([&] { return allSee(process, "m0"); }));
  etcd.kill((leader + 1) % 3);
  process.run(5s);
  CHECK(first.engine->isMaster());
  CHECK(first.count<Lost>() == 0);
  promiseAndExpect(process, first, 9, PromiseOutcome::kept);
}

// The others elect a leader within one to two seconds or, after a tie, later.
TEST_CASE(
    "after the leading etcd of three has died there is one master, of the same or a new epoch") {
  EtcdCluster etcd(3);
  const std::size_t leader = leaderOf(etcd);
  Process process;
  auto& first = process.add(0, etcd.urls);
  REQUIRE(process.runUntil([&] { return first.engine->isMaster(); }));
  process.add(1, etcd.urls);
  REQUIRE(process.runUntil([&] { return allSee(process, "m0"); }));
  const TimePoint killedAt = Clock::now();
  etcd.kill(leader);
  auto& second = *process.servers[1];
  std::uint64_t asked = 0;
  const auto isKept = [&] {
    auto* master = process.master();
    if (!master) return false;
    const auto* last = master->last<Promised>();
    if (last && last->outcome == PromiseOutcome::kept) return true;
    if (!last || last->number != asked) {
      master->engine->promise(++asked, putOf(*master, "ids/p", "v"));
    }
    return false;
  };
  CHECK(process.runUntil(isKept));
  MESSAGE("promises are kept again ", milliseconds(Clock::now() - killedAt),
          " ms after the leader's death; mastership was lost ",
          first.count<Lost>() + second.count<Lost>(), " times");
}

TEST_CASE("while all etcds stand still the master steps down before its lease ends") {
  EtcdCluster etcd(3);
  Process process;
  auto& first = process.add(0, etcd.urls);
  REQUIRE(process.runUntil([&] { return first.engine->isMaster(); }));
  const TimePoint stoppedAt = Clock::now();
  etcd.signalAll(SIGSTOP);
  REQUIRE(process.runUntil([&] { return first.count<Lost>() == 1; }));
  MESSAGE("stepped down ", milliseconds(Clock::now() - stoppedAt), " ms after the etcds stopped");
  CHECK(Clock::now() - stoppedAt < limits::kEtcdLease);
  CHECK_FALSE(first.engine->isMaster());
  REQUIRE(process.runUntil([&] { return !first.engine->core().trouble().empty(); }));
  CHECK(first.engine->waiting().starts_with("waiting for etcd at " + etcd.urls[0]));

  process.run(3s);
  etcd.signalAll(SIGCONT);
  CHECK(process.runUntil([&] { return first.engine->isMaster(); }));
  CHECK(process.runUntil([&] { return first.engine->core().trouble().empty(); }));
}

TEST_CASE("one stopped etcd of three, which keeps its connections, changes nothing") {
  EtcdCluster etcd(3);
  Process process;
  auto& first = process.add(0, etcd.urls);
  auto& second = process.add(1, etcd.urls);
  REQUIRE(process.runUntil([&] { return process.master() != nullptr; }));
  REQUIRE(process.runUntil([&] { return first.engine->core().candidates().size() == 2; }));
  const std::size_t stopped = leads(etcd.urls[0]) ? 1 : 0;
  etcd.signal(stopped, SIGSTOP);
  process.run(5s);
  CHECK(first.count<Lost>() + second.count<Lost>() == 0);
  promiseAndExpect(process, *process.master(), 1, PromiseOutcome::kept);
}
