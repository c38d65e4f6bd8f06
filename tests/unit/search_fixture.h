// One search core, s1. The test sends the messages of its neighbours.
#pragma once

#include "tests/unit/search_network.h"

namespace espalier::peer::testing {

inline const TimePoint kStart{};
inline constexpr ConnectionId kAlice{2};
inline constexpr ConnectionId kBob{4};
inline constexpr ConnectionId kCarol{6};

inline QueryId queryId(std::uint64_t number) {
  Random random(number);
  return randomFrom<QueryId>(random);
}

inline wire::Query queryOf(std::uint64_t number) {
  return {queryId(number), PatternKind::glob, "*", 3000ms, peerId("asker"), 100};
}

inline wire::Hit hitOf(const std::string& name, const std::string& holder) {
  return {name, 1, rootOf(name), peerId(holder), Endpoint{"127.0.0.1", 5009}};
}

struct Fixture {
  Random random{1};
  Budget budget;
  Searches searches{{peerId("s1"), JoinOrder{1}, {"127.0.0.1", 5001}}, random};
  Effects fx;
  TimePoint now = kStart;

  Fixture() {
    linkUp(kAlice, "alice", 2);
    linkUp(kBob, "bob", 3);
    searches.peersBehind(kAlice, 1);
    searches.peersBehind(kBob, 4);
  }
  void linkUp(ConnectionId link, const std::string& name, std::uint64_t order) {
    const auto id = peerId(name);
    searches.linkUp({link, {id, JoinOrder{order}, {}}, budget.account(Payer::member(id))}, now, fx);
    searches.confirmed(link, true);
  }
  void from(ConnectionId link, const wire::SearchMessage& message) {
    searches.received(link, onLink(message), now, fx);
  }
  QueryId ask(std::uint64_t members = 6) {
    return *searches.ask(PatternKind::glob, "*", MemberCount({members, kNoOrder}), now, fx);
  }
  void match(const QueryId& id) { searches.matched(id, {}, 0, false, now, fx); }
  void matchAll() {
    for (const auto& job : std::exchange(fx.jobs, {})) match(job.id);
  }
  template <typename Message>
  std::vector<Message> sentTo(ConnectionId link) {
    std::vector<Message> result;
    for (const auto& send : fx.sends) {
      if (send.to != link) continue;
      const auto message = searchMessage(send);
      if (const auto* one = std::get_if<Message>(&message)) result.push_back(*one);
    }
    return result;
  }
  std::vector<std::string> notices() const {
    std::vector<std::string> texts;
    for (const auto& notice : fx.notices) texts.push_back(notice.text);
    return texts;
  }
  SearchResult end(const QueryId& id) {
    for (int i = 0; i < 10'000; ++i) {
      for (const auto& update : fx.searchUpdates) {
        if (update.id == id && update.result) return *update.result;
      }
      now = std::max(now, searches.deadline());
      searches.tick(now, fx);
    }
    FAIL("the search never ends");
    return {};
  }
};

inline wire::Answer answerOf(const QueryId& id) {
  wire::Answer answer;
  answer.id = id;
  return answer;
}

}  // namespace espalier::peer::testing
