// Orders of joining across masters: which one a newcomer gets, and which ones peers that return may
// have.
#include <doctest/doctest.h>

#include "common/base/limits.h"
#include "metaserver/core/cluster/epoch.h"
#include "tests/unit/registry_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace std::chrono_literals;
using cluster::kNoOrderLeft;
using cluster::kRunningLast;

namespace {

constexpr Epoch kOld{3, ServerNumber{70}};
constexpr Epoch kNew{4, ServerNumber{20}};

JoinOrder order(const Epoch& prefix, std::uint32_t running) {
  return *cluster::orderOf({prefix, running});
}

// The request of peer `number` that was a member before.
wire::Join claim(int number, JoinOrder order) {
  wire::Join join;
  join.network.bytes[0] = 7;
  join.order = order;
  join.listen = {"127.0.0.1", static_cast<std::uint16_t>(5000 + number)};
  return join;
}

Registry::Options goingOnFrom(JoinOrder next, const Epoch& epoch = {}) {
  Registry::Options options;
  options.nextOrder = next;
  options.epoch = epoch;
  return options;
}

// A new master in the epoch kNew; its replica has a member of the founder and one of kOld.
Registry::Options takenOver() {
  auto options = goingOnFrom(order(kNew, 1), kNew);
  for (const auto& [number, order] : {std::pair(1, JoinOrder{5}), {2, order(kOld, 9)}}) {
    MemberRow row;
    row.contact = {peer(number), order, {"127.0.0.1", static_cast<std::uint16_t>(5000 + number)}};
    row.key = key(number);
    options.away.push_back(std::move(row));
  }
  return options;
}

bool isAdmittedAs(Metaserver& metaserver, int number, JoinOrder wanted) {
  return metaserver.admit(number, claim(number, wanted)).self.order == wanted;
}

}  // namespace

TEST_CASE("a single metaserver counts 1, 2, 3, in no epoch") {
  Metaserver metaserver;
  for (int number = 1; number <= 3; ++number) {
    CHECK(metaserver.admit(number).self.order == JoinOrder(number));
  }
  CHECK(metaserver.registry.epoch() == Epoch{});
  CHECK(metaserver.registry.members().newest == JoinOrder{3});
}

TEST_CASE("a used-up prefix is followed by the next one, which becomes the epoch") {
  for (const Epoch& epoch : {Epoch{}, Epoch{0, ServerNumber{20}}, kNew}) {
    Metaserver metaserver(goingOnFrom(order({0, kNoServer}, kRunningLast), epoch));
    CHECK(metaserver.admit(1).self.order == JoinOrder{kRunningLast});
    const Epoch opened =
        epoch == kNew ? kNew : Epoch{epoch.counter + (epoch.number == kNoServer), epoch.number};
    CHECK(metaserver.registry.epoch() == opened);
    CHECK_FALSE(metaserver.fx.persists.empty());
    CHECK(metaserver.admit(2).self.order == order(opened, 1));
    CHECK(metaserver.admit(3).self.order == order(opened, 2));
    CHECK(metaserver.registry.checkInvariants());
  }
}

TEST_CASE("when all orders are used up newcomers are refused, and members may return") {
  const Epoch last{limits::kEpochCounter, ServerNumber{0xffff}};
  Metaserver metaserver(goingOnFrom(order(last, kRunningLast - 1), last));
  metaserver.admit(1);
  CHECK(metaserver.admit(2).self.order == JoinOrder{limits::kJoinOrder});
  CHECK(metaserver.registry.nextOrder() == kNoOrderLeft);
  CHECK(metaserver.registry.members().newest == JoinOrder{limits::kJoinOrder});

  const auto reply = metaserver.join(3);
  REQUIRE(reply);
  const auto* refused = std::get_if<wire::Failure>(&*reply);
  REQUIRE(refused);
  CHECK(refused->code == ErrorCode::refused);
  CHECK(refused->message == "this network has no order of joining left for newcomers");

  metaserver.registry.closed(metaserver.connection(2), metaserver.now, metaserver.fx);
  CHECK(isAdmittedAs(metaserver, 2, JoinOrder{limits::kJoinOrder}));
  CHECK(metaserver.registry.checkInvariants());
}

TEST_CASE("a registry that begins with the last order of all gives none") {
  auto options = goingOnFrom(JoinOrder{1}, kNew);
  MemberRow row;
  row.contact = {peer(1), JoinOrder{limits::kJoinOrder}, {"127.0.0.1", 5001}};
  row.key = key(1);
  options.away = {row};
  Metaserver metaserver(std::move(options));
  CHECK(metaserver.registry.nextOrder() == kNoOrderLeft);
  CHECK(std::holds_alternative<wire::Failure>(*metaserver.join(2)));
  CHECK(isAdmittedAs(metaserver, 1, JoinOrder{limits::kJoinOrder}));
}

TEST_CASE("orders that the state file lacks are not believed beyond their prefix") {
  const JoinOrder next = order(kOld, kRunningLast - 2);
  Metaserver metaserver(goingOnFrom(next, kOld));
  CHECK(isAdmittedAs(metaserver, 1, order(kOld, kRunningLast)));
  CHECK(metaserver.registry.nextOrder() == order({4, kOld.number}, 1));
  CHECK_FALSE(isAdmittedAs(metaserver, 2, order({3, ServerNumber{71}}, 1)));
  CHECK(isAdmittedAs(metaserver, 3, order(kOld, kRunningLast - 1)));
  CHECK_FALSE(isAdmittedAs(metaserver, 4, order({2, kOld.number}, 1)));
  CHECK_FALSE(isAdmittedAs(metaserver, 5, JoinOrder{1}));
}

TEST_CASE("a new master believes orders below its prefix that its replica lacks, each once") {
  Metaserver metaserver(takenOver());
  const auto believed = {order(kOld, 10), order(kOld, 9 + limits::kOrdersUnwritten), JoinOrder{4},
                         order({3, ServerNumber{1}}, 1234), order({1, ServerNumber{99}}, 1)};
  int number = 10;
  for (const JoinOrder one : believed) {
    CAPTURE(espalier::number(one));
    CHECK(isAdmittedAs(metaserver, ++number, one));
    CHECK_FALSE(isAdmittedAs(metaserver, ++number, one));
  }
  CHECK(isAdmittedAs(metaserver, 2, order(kOld, 9)));
  // Only newcomers have counted, in the prefix of this master.
  CHECK(metaserver.registry.nextOrder() ==
        order(kNew, 1 + static_cast<std::uint32_t>(believed.size())));
  CHECK(metaserver.registry.epoch() == kNew);
  CHECK(metaserver.registry.checkInvariants());
}

TEST_CASE("a new master believes no order above its replica's, and none for long") {
  Metaserver metaserver(takenOver());
  int number = 10;
  std::uint32_t newcomers = 0;
  const auto isNewcomer = [&](JoinOrder claimed) {
    ++number;
    const auto given = metaserver.admit(number, claim(number, claimed)).self.order;
    return given == order(kNew, ++newcomers);
  };
  CHECK(isNewcomer(order(kOld, 10 + limits::kOrdersUnwritten)));
  CHECK(isNewcomer(order({3, ServerNumber{71}}, 1)));
  CHECK(isNewcomer(order({4, ServerNumber{19}}, 1)));
  CHECK(isNewcomer(order({4, ServerNumber{21}}, 1)));
  CHECK(isNewcomer(order({1000, ServerNumber{20}}, 1)));
  CHECK(isNewcomer(JoinOrder{5}));           // that of a member
  CHECK(isNewcomer(JoinOrder{1ull << 40}));  // no running number
  metaserver.pass(limits::kUnwrittenBelieved);
  CHECK(isNewcomer(order(kOld, 10)));
}

TEST_CASE("a replica's end at the end of its prefix lets nobody into the next prefix") {
  auto options = takenOver();
  options.away.back().contact.order = order(kOld, kRunningLast);
  Metaserver metaserver(std::move(options));
  CHECK_FALSE(isAdmittedAs(metaserver, 10, order({3, ServerNumber{71}}, 1)));
  CHECK(isAdmittedAs(metaserver, 11, order(kOld, kRunningLast - 1)));
}

TEST_CASE("a master that goes on in the prefix of its replica believes as after a restart") {
  auto options = takenOver();
  options.nextOrder = JoinOrder{1};
  Metaserver metaserver(std::move(options));
  CHECK(metaserver.registry.nextOrder() == order(kOld, 10));
  CHECK(isAdmittedAs(metaserver, 10, order(kOld, 12)));
  CHECK_FALSE(isAdmittedAs(metaserver, 11, order(kOld, 8)));
  CHECK_FALSE(isAdmittedAs(metaserver, 12, JoinOrder{4}));
}

TEST_CASE("a metaserver without state takes in a network of many masters, and counts above it") {
  Metaserver metaserver;
  const auto foreign = [](int number, JoinOrder order) {
    auto join = claim(number, order);
    join.network.bytes[0] = 8;
    return join;
  };
  const JoinOrder first = order(kOld, 17);
  CHECK(metaserver.admit(1, foreign(1, first)).self.order == first);
  CHECK(metaserver.registry.network() == foreign(1, first).network);
  int number = 1;
  for (const JoinOrder one : {JoinOrder{3}, order({7, ServerNumber{4}}, 2), order(kOld, 16)}) {
    ++number;
    CHECK(metaserver.admit(number, foreign(number, one)).self.order == one);
  }
  metaserver.pass(limits::kRejoinWait);
  const auto newcomer = metaserver.admit(200).self.order;
  CHECK(newcomer == order({8, kNoServer}, 1));
  CHECK(metaserver.registry.epoch() == Epoch{8, kNoServer});
  CHECK(metaserver.registry.checkInvariants());
}

TEST_CASE("a metaserver without state does not let a liar use up counters or running numbers") {
  for (const JoinOrder claimed :
       {order({limits::kCountersBelieved + 1, ServerNumber{1}}, 1),
        order({0, kNoServer}, limits::kMembers + 1), JoinOrder{limits::kJoinOrder}}) {
    Metaserver metaserver;
    auto join = claim(1, claimed);
    join.network.bytes[0] = 8;
    CHECK(metaserver.admit(1, join).self.order == JoinOrder{1});
    CHECK(metaserver.registry.network() != join.network);
  }
  Metaserver metaserver;
  auto join = claim(1, order({limits::kCountersBelieved, ServerNumber{1}}, 1));
  join.network.bytes[0] = 8;
  CHECK(metaserver.admit(1, join).self.order == join.order);
  auto higher = claim(2, order({limits::kCountersBelieved + 1, ServerNumber{1}}, 1));
  higher.network = join.network;
  CHECK(std::holds_alternative<wire::Wait>(*metaserver.join(2, higher)));  // a newcomer
}
