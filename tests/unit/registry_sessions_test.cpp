// What the registry of a single metaserver tells of its peers' sessions.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "tests/unit/registry_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace std::chrono_literals;

namespace {

// "Approached", "Here s1 3 new", "Gone 1 after 6 s", …
std::vector<std::string> told(const Effects& fx) {
  std::vector<std::string> all;
  for (const auto& event : fx.sessions) {
    if (const auto* here = std::get_if<session::Here>(&event)) {
      all.push_back(fmt::format("Here {} {}{}{}", here->id.text(), here->since.count(),
                                here->isNew ? " new" : "", here->isCounted ? " counted" : ""));
    } else if (const auto* gone = std::get_if<session::Gone>(&event)) {
      all.push_back(fmt::format("Gone {} after {} s", number(gone->order), gone->ago / 1s));
    } else if (const auto* left = std::get_if<session::Left>(&event)) {
      all.push_back(fmt::format("Left {}", number(left->order)));
    } else if (const auto* rating = std::get_if<session::Rating>(&event)) {
      all.push_back(fmt::format("Rating {} {} {}", rating->id.text(), rating->score, rating->text));
    } else {
      constexpr std::array kNames{"Approached", "LostApproach", "", "", "", "Elsewhere", "Ended"};
      all.emplace_back(kNames.at(event.index()));
    }
  }
  return all;
}

using Texts = std::vector<std::string>;

wire::Join since(std::int64_t time) {
  wire::Join join;
  join.since = std::chrono::milliseconds(time);
  return join;
}

// With what a peer that returns knows.
wire::Join back(const wire::Admitted& admitted, std::int64_t time) {
  wire::Join join = since(time);
  join.network = admitted.network;
  join.order = admitted.self.order;
  join.listen = admitted.self.endpoint;
  return join;
}

}  // namespace

TEST_CASE("a newcomer has approached, and is here; then it leaves") {
  Metaserver metaserver;
  const auto admitted = metaserver.admit(1, since(70));
  CHECK(admitted.since == 70ms);
  CHECK(told(metaserver.fx) == Texts{"Approached", "Here s1 70 new counted"});
  metaserver.say(1, wire::Quit());
  CHECK(told(metaserver.fx) == Texts{"Left 1"});
}

TEST_CASE("who returns in time goes on with its session, and later begins another one") {
  for (const auto away : {limits::kSessionAway, limits::kSessionAway + 1s}) {
    Metaserver metaserver;
    const auto admitted = metaserver.admit(1, since(70));
    metaserver.fx = {};
    metaserver.registry.closed(metaserver.connection(1), metaserver.now, metaserver.fx);
    CHECK(told(metaserver.fx) == Texts{"Gone 1 after 0 s"});
    metaserver.pass(away);
    const auto again = metaserver.admit(1, back(admitted, 90));
    const bool isInTime = away == limits::kSessionAway;
    CHECK(again.since == (isInTime ? 70ms : 90ms));
    CHECK(told(metaserver.fx) == Texts{isInTime ? "Here s1 70" : "Here s1 90 new"});
  }
}

TEST_CASE("who falls silent is gone since it was heard last") {
  Metaserver metaserver;
  metaserver.admit(1, since(70));
  Texts all;
  for (int i = 0; i < 20 && all.empty(); ++i) {
    metaserver.pass(1s);
    all = told(metaserver.fx);
  }
  REQUIRE(all.size() == 1);
  CHECK(all[0] == fmt::format("Gone 1 after {} s", (metaserver.now - kStart) / 1s));
}

TEST_CASE("a peer that was started again has left its session of before") {
  Metaserver metaserver;
  metaserver.admit(1, since(70));
  metaserver.now += 3s;
  wire::Join anew = since(90);
  anew.id = peer(1);
  anew.key = key(1);
  anew.word = "P2P";
  metaserver.registry.opened(metaserver.connection(2), metaserver.host, metaserver.now);
  metaserver.say(2, anew);
  CHECK(told(metaserver.fx) == Texts{"Approached", "Gone 1 after 3 s", "Here s1 90 new counted"});
}

TEST_CASE(
    "a connection approaches once; whom nobody can take is lost, whoever asks wrongly is not") {
  Registry::Options options;
  options.membersMost = 1;
  Metaserver metaserver(options);
  metaserver.admit(1);
  wire::Join wrong;
  wrong.word = "no";
  metaserver.join(2, wrong);
  CHECK(told(metaserver.fx) == Texts{"Approached"});
  wrong.word.clear();
  wrong.id = peer(1);
  metaserver.say(2, [&] {
    wrong.word = "P2P";
    wrong.key = key(2);
    return wrong;
  }());
  CHECK(told(metaserver.fx).empty());  // the id is taken
  wrong.id = peer(2);
  metaserver.say(2, wrong);
  CHECK(told(metaserver.fx) == Texts{"LostApproach"});
  metaserver.say(2, wrong);
  CHECK(told(metaserver.fx).empty());
}

TEST_CASE("a newcomer that goes while it waits is lost") {
  Registry::Options options;
  options.before = {{peer(9), key(9), JoinOrder{1}, {"127.0.0.1", 5001}}};
  options.nextOrder = JoinOrder{2};
  Metaserver metaserver(options);
  metaserver.join(1, since(70));
  CHECK(told(metaserver.fx) == Texts{"Approached"});
  metaserver.fx = {};
  metaserver.registry.closed(metaserver.connection(1), metaserver.now, metaserver.fx);
  CHECK(told(metaserver.fx) == Texts{"LostApproach"});
}

TEST_CASE("a session is rated once, also after a short absence") {
  Metaserver metaserver;
  const auto admitted = metaserver.admit(1, since(70));
  auto rated = metaserver.say(1, wire::Rate{4, "good", 7});
  REQUIRE(rated);
  CHECK(std::get<wire::Rated>(*rated) == wire::Rated{7, true});
  CHECK(told(metaserver.fx) == Texts{"Rating s1 4 good"});
  metaserver.registry.closed(metaserver.connection(1), metaserver.now, metaserver.fx);
  metaserver.admit(1, back(admitted, 90));
  rated = metaserver.say(1, wire::Rate{5, "", 8});
  CHECK(std::get<wire::Rated>(*rated) == wire::Rated{8, false});
  CHECK(told(metaserver.fx).empty());
  metaserver.registry.opened(metaserver.connection(2), metaserver.host, metaserver.now);
  CHECK(std::holds_alternative<wire::Failure>(*metaserver.say(2, wire::Rate{5, "", 9})));
}

TEST_CASE("statistics are asked for by members, and left to the shell") {
  Metaserver metaserver;
  metaserver.admit(1);
  CHECK_FALSE(metaserver.say(1, wire::StatisticsRequest{3, 7}));
  REQUIRE(metaserver.fx.statistics.size() == 1);
  CHECK(metaserver.fx.statistics[0].from == metaserver.connection(1));
  CHECK(metaserver.fx.statistics[0].request == wire::StatisticsRequest{3, 7});
}
