// Which request a reply of the metaserver answers.
#include "peer/core/open_requests.h"

#include <doctest/doctest.h>

#include "common/base/limits.h"

using namespace espalier;
using namespace espalier::peer;

namespace {

std::uint64_t add(OpenRequests& requests, wire::RegistryRequest request) {
  return requests.add(request);
}

wire::Topology page(std::uint64_t number) {
  return {{}, false, number};
}

wire::Members members(std::uint64_t number) {
  return {3, JoinOrder{3}, number};
}

}  // namespace

TEST_CASE("a reply answers the request with its number, once, if it is of the same kind") {
  OpenRequests requests;
  const auto first = add(requests, wire::TopologyRequest{});
  const auto second = add(requests, wire::TopologyRequest{});
  const auto third = add(requests, wire::MembersRequest{});
  const auto fourth = add(requests, wire::Links{});
  CHECK(add(requests, wire::Quit{}) == 0);
  CHECK(requests.take(page(second)) == second);
  CHECK_FALSE(requests.take(page(second)));
  CHECK_FALSE(requests.take(page(third)));
  CHECK(requests.take(members(third)) == third);
  CHECK(requests.take(page(first)) == first);
  CHECK_FALSE(requests.take(page(1000)));
  CHECK_FALSE(requests.take(wire::Strangers{0, {}, {}}));
  CHECK(requests.take(wire::Strangers{fourth, {}, {}}) == fourth);
}

TEST_CASE("a rating and statistics are answered by number only, and asked again at another home") {
  OpenRequests requests;
  const auto rate = add(requests, wire::Rate{4, "good", 0});
  const auto statistics = add(requests, wire::StatisticsRequest{7, 0});
  CHECK_FALSE(requests.take(wire::Rated{0, true}));
  CHECK_FALSE(requests.take(wire::Rated{statistics, true}));
  wire::Statistics answer;
  answer.number = rate;
  CHECK_FALSE(requests.take(answer));
  const auto again = requests.movedOn();
  REQUIRE(again.size() == 2);
  CHECK(again[0] == wire::RegistryRequest(wire::Rate{4, "good", rate}));
  CHECK(again[1] == wire::RegistryRequest(wire::StatisticsRequest{7, statistics}));
  CHECK(requests.take(wire::Rated{rate, true}) == rate);
  CHECK_FALSE(requests.take(wire::Rated{rate, true}));
  answer.number = statistics;
  CHECK(requests.take(answer) == statistics);
}

TEST_CASE("an old metaserver answers each kind in order; nothing answers what was not asked") {
  OpenRequests requests;
  const auto first = add(requests, wire::MembersRequest{});
  const auto second = add(requests, wire::TopologyRequest{});
  const auto third = add(requests, wire::MembersRequest{});
  CHECK(requests.take(members(0)) == first);
  CHECK(requests.take(members(0)) == third);
  CHECK_FALSE(requests.take(members(0)));
  CHECK(requests.take(page(0)) == second);
}

TEST_CASE(
    "a metaserver that has repeated a number answers by number only, until the next session") {
  OpenRequests requests;
  const auto first = add(requests, wire::MembersRequest{});
  add(requests, wire::MembersRequest{});
  CHECK(requests.take(members(first)) == first);
  CHECK_FALSE(requests.take(members(0)));
  requests.clear();
  const auto later = add(requests, wire::MembersRequest{});
  CHECK(later > first + 1);
  CHECK(requests.take(members(0)) == later);
}

TEST_CASE("a metaserver that never answers does not make the peer remember without end") {
  OpenRequests requests;
  const auto first = add(requests, wire::Links{});
  for (std::size_t i = 0; i < limits::kOpenRequests; ++i) add(requests, wire::Links{});
  CHECK_FALSE(requests.take(wire::Strangers{first, {}, {}}));
  CHECK(requests.take(wire::Strangers{first + 1, {}, {}}) == first + 1);
}
