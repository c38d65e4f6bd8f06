// Which hits are believed: those that match the query, each for one holder, size and root only.
#include <doctest/doctest.h>

#include "tests/unit/search_fixture.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::testing;

namespace {

wire::Query queryFor(std::uint64_t number, PatternKind kind, const std::string& text) {
  auto query = queryOf(number);
  query.kind = kind;
  query.text = text;
  return query;
}

std::vector<std::string> namesOf(const std::vector<wire::Answer>& answers) {
  std::vector<std::string> names;
  for (const auto& answer : answers) {
    for (const auto& hit : answer.hits) names.push_back(hit.name);
  }
  return names;
}

std::size_t count(const std::vector<std::string>& texts, const std::string& text) {
  return static_cast<std::size_t>(std::count(texts.begin(), texts.end(), text));
}

const std::string kUnasked = "bob offered a file that the search does not match: ignored";
const std::string kImpossible = "bob offered a file that cannot exist: ignored";

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a relay passes on only hits that match the query") {
  PatternKind kind{};
  std::string text;
  std::string good;
  std::vector<std::string> bad;
  SUBCASE("a path") {
    kind = PatternKind::path;
    text = good = "f1.txt";
    bad = {".ssh/authorized_keys", "F1.txt", "f1.txt/", "./f1.txt", "f1.txt.bak", "x/f1.txt"};
  }
  SUBCASE("a glob") {
    kind = PatternKind::glob;
    text = "docs/*.txt";
    good = "docs/f1.txt";
    bad = {".profile", "docs/f1.txt~", "other/docs/f1.txt", "docs/f1.TXT"};
  }
  SUBCASE("a part of the name") {
    kind = PatternKind::substring;
    text = "Song";
    good = "music/my song.mp3";
    bad = {"son", "s-o-n-g"};
  }
  SUBCASE("words") {
    kind = PatternKind::words;
    text = "live song";
    good = "Song (live).mp3";
    bad = {"song.mp3", "live.mp3"};
  }
  from(kAlice, queryFor(1, kind, text));
  auto answer = answerOf(queryId(1));
  for (const auto& name : bad) answer.hits.push_back(hitOf(name, "dave"));
  answer.hits.push_back(hitOf(good, "dave"));
  from(kBob, answer);
  from(kBob, answer);
  CHECK(namesOf(sentTo<wire::Answer>(kAlice)) == std::vector<std::string>{good});
  CHECK(notices() == std::vector<std::string>{kUnasked});
}

TEST_CASE_FIXTURE(Fixture, "a relay passes on only hits of the root that is searched for") {
  const auto wanted = hitOf("wanted", "dave");
  from(kAlice, queryFor(1, PatternKind::root, toHex(wanted.root.view())));
  auto answer = answerOf(queryId(1));
  answer.hits = {hitOf("other", "dave"), wanted};
  answer.hits[0].name = "wanted";
  from(kBob, answer);
  REQUIRE(sentTo<wire::Answer>(kAlice).size() == 1);
  CHECK(sentTo<wire::Answer>(kAlice)[0].hits == std::vector<wire::Hit>{wanted});
  CHECK(notices() == std::vector<std::string>{kUnasked});
}

TEST_CASE_FIXTURE(Fixture, "an asker shows only hits that match its search") {
  const auto id = *searches.ask(PatternKind::path, "f1.txt", MemberCount({6, kNoOrder}), now, fx);
  auto answer = answerOf(id);
  answer.hits = {hitOf(".profile", "dave"), hitOf("f1.txt", "dave")};
  from(kBob, answer);
  std::vector<std::string> shown;
  for (const auto& update : fx.searchUpdates) {
    for (const auto& hit : update.hits) shown.push_back(hit.name);
  }
  CHECK(shown == std::vector<std::string>{"f1.txt"});
  const auto result = searches.cancel(id);
  REQUIRE(result->files.size() == 1);
  CHECK(result->files[0].name == "f1.txt");
  CHECK(result->moreHits == 0);
}

TEST_CASE_FIXTURE(Fixture, "how a name that is not ASCII matches is left to the asker") {
  // As NFD: a peer of an earlier version finds the `a` in it.
  const std::string name = "a\xcc\x88.txt";
  for (const auto kind : {PatternKind::substring, PatternKind::words, PatternKind::glob}) {
    const auto number = 100 + static_cast<std::uint64_t>(kind);
    from(kAlice, queryFor(number, kind, kind == PatternKind::glob ? "a?.txt" : "a"));
    fx = {};
    auto answer = answerOf(queryId(number));
    answer.hits = {hitOf(name, "dave")};
    from(kBob, answer);
    CHECK(namesOf(sentTo<wire::Answer>(kAlice)) == std::vector<std::string>{name});
  }
  const auto id = *searches.ask(PatternKind::substring, "a", MemberCount({6, kNoOrder}), now, fx);
  auto answer = answerOf(id);
  answer.hits = {hitOf(name, "dave"), hitOf("a.txt", "dave")};
  from(kBob, answer);
  REQUIRE(searches.cancel(id)->files.size() == 1);
  CHECK(notices() == std::vector<std::string>{kUnasked});
}

TEST_CASE_FIXTURE(Fixture, "a path that is not ASCII is one, however it was composed") {
  from(kAlice, queryFor(1, PatternKind::path, "\xc3\xa4.txt"));
  auto answer = answerOf(queryId(1));
  answer.hits = {hitOf("a\xcc\x88.txt", "dave"), hitOf("\xc3\xb6.txt", "dave")};
  from(kBob, answer);
  CHECK(namesOf(sentTo<wire::Answer>(kAlice)) == std::vector<std::string>{"a\xcc\x88.txt"});
}

TEST_CASE_FIXTURE(Fixture, "nothing matches a query whose text is no pattern of its kind") {
  from(kAlice, queryFor(1, PatternKind::root, "no root"));
  auto answer = answerOf(queryId(1));
  answer.hits = {hitOf("no root", "dave")};
  from(kBob, answer);
  CHECK(namesOf(sentTo<wire::Answer>(kAlice)).empty());
}

TEST_CASE_FIXTURE(Fixture, "a file that cannot exist is ignored, and told once") {
  from(kAlice, queryOf(1));
  auto answer = answerOf(queryId(1));
  for (int i = 0; i < 3; ++i) answer.hits.push_back(hitOf("f" + std::to_string(i), "dave"));
  answer.hits[0].sizeBytes = 0;  // a root of an empty file has 64 zeros
  answer.hits[1].root = {};      // and no other has
  answer.hits[2].sizeBytes = limits::kFileBytes + 1;
  auto empty = hitOf("empty", "dave");
  empty.sizeBytes = 0;
  empty.root = {};
  answer.hits.push_back(empty);
  from(kBob, answer);
  CHECK(namesOf(sentTo<wire::Answer>(kAlice)) == std::vector<std::string>{"empty"});
  CHECK(notices() == std::vector<std::string>{kImpossible});
}

TEST_CASE_FIXTURE(Fixture, "a size or an endpoint that somebody claims stands beside the others") {
  const auto id = ask(6);
  const auto honest = hitOf("f1.txt", "dave");
  auto larger = honest;
  larger.sizeBytes = 1ull << 44;
  auto below = honest;  // sorts before the honest one
  below.endpoint = {"0.0.0.0", 9};
  auto above = honest;
  above.endpoint = {"9.9.9.9", 9};
  auto part = honest;
  part.partial = true;
  auto answer = answerOf(id);
  answer.hits = {larger, below, above, part};
  from(kAlice, answer);
  answer.hits = {honest};
  from(kBob, answer);
  const auto result = searches.cancel(id);
  REQUIRE(result->files.size() == 2);
  CHECK(result->files[0].sizeBytes == 1);
  CHECK(result->files[0].holders == std::vector<Holder>{{peerId("dave"), below.endpoint, false},
                                                        {peerId("dave"), honest.endpoint, true},
                                                        {peerId("dave"), above.endpoint, false}});
  CHECK(idsOf(result->files[0].holders) == std::vector<PeerId>{peerId("dave")});
  CHECK(result->files[1].sizeBytes == 1ull << 44);
  CHECK(result->files[1].holders == std::vector<Holder>{{peerId("dave"), honest.endpoint, false}});
}

TEST_CASE_FIXTURE(Fixture, "hits in another's name take no room from that one's own") {
  from(kAlice, queryOf(1));
  searches.linkUp({kCarol, {peerId("carol"), JoinOrder{9}, {}}}, now, fx);
  searches.peersBehind(kCarol, 1);
  for (int n = 0; n < 10'000; n += 100) {
    auto junk = answerOf(queryId(1));
    for (int i = n; i < n + 100; ++i) junk.hits.push_back(hitOf("j" + std::to_string(i), "dave"));
    from(kCarol, junk);
  }
  const auto junk = namesOf(sentTo<wire::Answer>(kAlice)).size();
  CHECK(junk == limits::kHitsPerPeer);  // one peer is behind
  auto answer = answerOf(queryId(1));
  for (int n = 0; n < 200; ++n) answer.hits.push_back(hitOf("f" + std::to_string(n), "dave"));
  from(kBob, answer);
  CHECK(namesOf(sentTo<wire::Answer>(kAlice)).size() == junk + 200);
}

TEST_CASE("a liar next to the asker does not hide what the farthest peer has") {
  for (const std::size_t peers : {3, 8, 60}) {
    CAPTURE(peers);
    Network network;
    network.line(peers);
    network.add(1);
    const auto liar = peers;
    network.connect(1, liar);
    const auto far = peers - 1;
    network[far].share.clear();
    for (int n = 0; n < 200; ++n) {
      const auto name = "f" + std::to_string(n);
      network[far].share.push_back(file(name, name));
    }
    const auto id = network.ask(0);
    // Before any other peer has answered.
    bool lied = false;
    network.filter = [&](std::size_t, std::size_t to, const wire::SearchMessage& message) {
      if (to != liar || lied || !std::holds_alternative<wire::Query>(message)) return true;
      lied = true;
      for (int n = 0; n < 20'000; n += 100) {
        auto junk = answerOf(id);
        for (int i = n; i < n + 100; ++i) {
          junk.hits.push_back(hitOf("j" + std::to_string(i), network[far].id.text()));
        }
        network.inject(1, liar, junk);
      }
      return true;
    };
    const auto result = network.resultOf(id);
    REQUIRE(lied);
    std::size_t found = 0;
    for (const auto& each : result.files) found += each.name.starts_with('f');
    CHECK(found == 200);
  }
}

TEST_CASE_FIXTURE(Fixture, "invented ids take no room from those that others name") {
  const auto id = ask(1000);
  matchAll();
  for (int n = 0; n < 10'000; n += 100) {
    auto junk = answerOf(id);
    for (int i = n; i < n + 100; ++i) {
      const auto peer = peerId("x" + std::to_string(i));
      junk.more.push_back({peer, 1});
      junk.indexing.push_back(peer);
      junk.missing.push_back({peer, JoinOrder{100 + static_cast<std::uint64_t>(i)}, 0});
    }
    from(kBob, junk);
  }
  auto answer = answerOf(id);
  answer.more = {{peerId("dave"), 7'000'000}};
  answer.indexing = {peerId("dave")};
  answer.missing = {{peerId("erin"), JoinOrder{5}, 0}};
  from(kAlice, answer);
  const auto result = end(id);
  CHECK(result.moreHits >= 7'000'000);
  CHECK(result.moreHits < 7'000'100);
  CHECK(std::count(result.indexing.begin(), result.indexing.end(), peerId("dave")) == 1);
  CHECK(result.indexing.size() < 100);
  CHECK(result.missing.size() < 100);
  CHECK(std::any_of(result.missing.begin(), result.missing.end(),
                    [](const auto& missing) { return missing.id == peerId("erin"); }));
}

TEST_CASE_FIXTURE(Fixture, "a peer cannot have more of one path than one") {
  const auto id = *searches.ask(PatternKind::path, "f1.txt", MemberCount({6, kNoOrder}), now, fx);
  auto answer = answerOf(id);
  answer.more = {{peerId("dave"), 1'000'000}};
  from(kBob, answer);
  CHECK(searches.cancel(id)->moreHits == 1);
}

TEST_CASE_FIXTURE(Fixture, "hits made to be slow to compare cost their own link, and are counted") {
  // Some two million steps a hit.
  const auto pattern = "*" + std::string(limits::kPatternBytes - 2, 'a') + "b";
  from(kAlice, queryFor(1, PatternKind::glob, pattern));
  const auto slow = [](int n) {
    return std::to_string(n) + std::string(limits::kPathBytes - 8, 'a') + "c";
  };
  std::size_t sent = 0;
  const std::string costly =
      "bob sent hits that cost too much to compare with their search: ignored";
  while (count(notices(), costly) == 0) {
    REQUIRE(++sent < 100);
    auto answer = answerOf(queryId(1));
    answer.hits = {hitOf(slow(static_cast<int>(sent)), "dave")};
    from(kBob, answer);
  }
  CHECK(sent > 3);
  // Nothing of bob's is compared now, good or bad, but it is told that there is more.
  const auto good = std::string(limits::kPatternBytes - 2, 'a') + "b";
  auto answer = answerOf(queryId(1));
  answer.hits = {hitOf(good, "dave")};
  from(kBob, answer);
  CHECK(namesOf(sentTo<wire::Answer>(kAlice)).empty());
  // Another link is not slowed, and bob's is a second later as it was.
  searches.linkUp({kCarol, {peerId("carol"), JoinOrder{9}, {}}}, now, fx);
  answer.hits = {hitOf(good, "erin")};
  from(kCarol, answer);
  CHECK(namesOf(sentTo<wire::Answer>(kAlice)).size() == 1);
  now += 1s;
  answer.hits = {hitOf(good, "dave")};
  from(kBob, answer);
  CHECK(namesOf(sentTo<wire::Answer>(kAlice)).size() == 2);
  std::uint64_t more = 0;
  for (const auto& each : sentTo<wire::Answer>(kAlice)) {
    for (const auto& one : each.more) more = std::max(more, one.hits);
  }
  CHECK(more == 2);
}
