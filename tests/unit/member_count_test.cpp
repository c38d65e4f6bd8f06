// How a search counts the members of the network: by the tree, by the metaserver, by the answers.
#include "peer/core/member_count.h"

#include <doctest/doctest.h>

#include "tests/unit/search_network.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::testing;

namespace {

// What the metaserver says to all that wait for it.
void tell(Network& network, std::size_t i, std::optional<wire::Members> members) {
  network.step(i, [&](Effects& fx) {
    network[i].searches->membersAsked();
    network[i].searches->membersTold(members, network.now(), fx);
  });
}

}  // namespace

TEST_CASE("a search asks the metaserver at once, whatever the tree counts, and ends as it says") {
  for (const std::uint64_t counted : {3, 4, 5}) {
    CAPTURE(counted);
    Network network;
    network.line(4);
    const auto id = network.ask(0, "*", MemberCount(counted));
    CHECK(network[0].searches->wantsMembers());
    tell(network, 0, wire::Members{4, JoinOrder{4}});
    CHECK(coverageText(network.resultOf(id)) == "searched 4 of 4 peers");
    CHECK_FALSE(network[0].searches->wantsMembers());
  }
}

TEST_CASE("a member that only the metaserver knows is missing, though all that are linked answer") {
  Network network;
  network.line(3);
  const auto id = network.ask(0, "*", MemberCount(3));
  network.after(1ms, [&] { tell(network, 0, wire::Members{4, JoinOrder{4}}); });
  CHECK(coverageText(network.resultOf(id)) == "searched 3 of 4 peers");
}

TEST_CASE(
    "a peer cut off, whose tree counts itself alone, is not complete before the metaserver "
    "answers") {
  Network network;
  network.line(3);
  network.cut(0, 1);
  const auto begun = network.now();
  const auto id = network.ask(0, "*", MemberCount(1));
  network.run(300ms);
  tell(network, 0, wire::Members{3, JoinOrder{3}});
  network.after(200ms, [&] { network.connect(0, 1); });
  CHECK(coverageText(network.resultOf(id)) == "searched 3 of 3 peers");
  CHECK(network.now() - begun < limits::kSearchGrace);
}

TEST_CASE("a metaserver that is silent is waited for no longer than the grace") {
  Network network;
  network.line(3);
  const auto begun = network.now();
  const auto id = network.ask(0, "*", MemberCount(2));
  network.step(0, [&](Effects&) { network[0].searches->membersAsked(); });
  CHECK(network[0].searches->awaitsMembers());
  CHECK(coverageText(network.resultOf(id)) == "searched 3 of 3 peers");
  CHECK(network.now() - begun >= limits::kSearchGrace);
  CHECK(network.now() - begun < limits::kSearchGrace + 200ms);
}

TEST_CASE("without a metaserver, peers that answer or are named beyond the count raise it") {
  Network network;
  network.line(4);
  const auto id = network.ask(0, "*", MemberCount(2));
  network.after(1ms, [&] { tell(network, 0, std::nullopt); });
  CHECK(coverageText(network.resultOf(id)) == "searched 4 of 4 peers");

  network[3].matchTakes = 100s;
  const auto incomplete = network.ask(0, "*", MemberCount(2));
  tell(network, 0, std::nullopt);
  CHECK(coverageText(network.resultOf(incomplete)) == "searched 3 of 4 peers; missing: s4");
}

TEST_CASE("a member that dies while it is asked is missing") {
  Network network;
  network.line(3);
  network[2].matchTakes = 100s;
  const auto id = network.ask(0, "*", MemberCount(3));
  tell(network, 0, wire::Members{3, JoinOrder{3}});
  network.after(100ms, [&] { network.kill(2); });
  CHECK(coverageText(network.resultOf(id)) == "searched 2 of 3 peers; missing: s3");
}

TEST_CASE("the answer to a request before the search does not count for it") {
  MemberCount count(3);
  count.ask(7);
  count.tell(wire::Members{4, JoinOrder{9}, 6});
  CHECK(count.isOpen());
  count.tell(wire::Members{5, JoinOrder{10}, 8});
  CHECK(count.members() == 5);
  CHECK_FALSE(count.isOpen());
}

TEST_CASE("members that the metaserver does not know, as during a cut, count as beyond") {
  Network network;
  network.line(5);
  const auto id = network.ask(0, "*", MemberCount(5));
  tell(network, 0, wire::Members{3, JoinOrder{4}, 0, {{1, 2}, {4, 4}}});  // the third one, too
  CHECK(coverageText(network.resultOf(id)) == "searched 3 of 3 peers and 1 beyond");
}

TEST_CASE("a member beyond does not stand in for one that is missing") {
  Network network;
  network.line(4);
  network[3].matchTakes = 100s;
  const auto id = network.ask(0, "*", MemberCount(4));
  tell(network, 0, wire::Members{3, JoinOrder{4}, 0, {{1, 2}, {4, 4}}});
  network.after(100ms, [&] { network.kill(3); });
  CHECK(coverageText(network.resultOf(id)) == "searched 2 of 3 peers and 1 beyond; missing: s4");
}

TEST_CASE("nobody raises the count beyond what may speak over the links") {
  MemberCount count(3);
  count.raise(5, 10);
  CHECK(count.members() == 5);
  count.raise(1000, 10);
  CHECK(count.members() == 10);
  MemberCount told({4, JoinOrder{9}});
  told.raise(1000, 1000);
  CHECK(told.members() == 4);
  CHECK_FALSE(told.isOpen());
}
