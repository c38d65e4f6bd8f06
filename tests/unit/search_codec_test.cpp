#include "common/wire/search_codec.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <string>

#include "search.pb.h"

using namespace espalier;
using namespace std::chrono_literals;

namespace {

PeerId peerId(const std::string& text) {
  return *PeerId::parse(text);
}

QueryId queryId(std::uint8_t fill) {
  QueryId id;
  id.bytes.fill(fill);
  return id;
}

wire::Hit hitOf(const std::string& name, const std::string& holder) {
  FileRoot root;
  root.bytes.fill(7);
  return {name, 12, root, peerId(holder), Endpoint{"127.0.0.1", 5003}};
}

wire::Answer fullAnswer() {
  wire::Answer answer;
  answer.id = queryId(1);
  answer.hits = {hitOf("f3.txt", "s3"), hitOf("a b/\xff", "s3"), hitOf("f3.txt", "s4")};
  answer.coverage = {{1, 1}, {3, 9}, {100, 100}};
  answer.missing = {{peerId("s7"), JoinOrder{7}, 3}};
  answer.indexing = {peerId("s3")};
  answer.more = {{peerId("s4"), 9800}};
  answer.done = true;
  return answer;
}

void checkRoundTrip(const wire::SearchMessage& message) {
  const auto back = wire::decodeSearch(wire::encodeSearch(message));
  REQUIRE(back.ok());
  CHECK(*back == message);
}

// A full answer, spoilt.
template <typename Spoil>
bool decodesWhen(Spoil&& spoil) {
  proto::Search message;
  wire::toProto(fullAnswer(), message);
  spoil(*message.mutable_answer());
  const auto result = wire::decodeSearch(message.SerializeAsString());
  if (!result) CHECK(result.error().code == ErrorCode::protocol);
  return result.ok();
}

template <typename Spoil>
bool queryDecodesWhen(Spoil&& spoil) {
  proto::Search message;
  wire::toProto(wire::Query{queryId(2), PatternKind::glob, "*.txt", 3100ms, peerId("s1"), 21},
                message);
  spoil(*message.mutable_query());
  return wire::decodeSearch(message.SerializeAsString()).ok();
}

}  // namespace

TEST_CASE("search messages read back as they were written") {
  checkRoundTrip(
      wire::Query{queryId(2), PatternKind::glob, "*.txt\xff", 3100ms, peerId("größe"), 21});
  checkRoundTrip(fullAnswer());
  checkRoundTrip(wire::Lost{queryId(3)});
  wire::Answer empty;
  empty.id = queryId(4);
  checkRoundTrip(empty);
}

TEST_CASE("an answer is these bytes") {
  wire::Answer answer;
  answer.id = queryId(0x11);
  answer.coverage = {{2, 4}};
  answer.done = true;
  CHECK(toHex(wire::encodeSearch(answer)) ==
        "1218"                                  // Search.answer, 24 bytes
        "0a1011111111111111111111111111111111"  // id
        "22020202"                              // coverage: 2 above 0, and 2 more
        "4001");                                // done
}

TEST_CASE("an answer that makes no sense is refused with the code protocol") {
  using proto::SearchAnswer;
  CHECK(decodesWhen([](SearchAnswer&) {}));
  CHECK_FALSE(decodesWhen([](SearchAnswer& a) { a.set_id("short"); }));
  CHECK_FALSE(decodesWhen([](SearchAnswer& a) { a.mutable_hits(0)->set_holder(2); }));
  CHECK_FALSE(decodesWhen([](SearchAnswer& a) { a.mutable_hits(0)->set_name(""); }));
  CHECK_FALSE(
      decodesWhen([](SearchAnswer& a) { a.mutable_hits(0)->set_name(std::string("a\0b", 3)); }));
  CHECK_FALSE(decodesWhen([](SearchAnswer& a) {
    a.mutable_hits(0)->set_name(std::string(limits::kPathBytes + 1, 'x'));
  }));
  CHECK_FALSE(decodesWhen([](SearchAnswer& a) { a.mutable_hits(0)->set_root("x"); }));
  CHECK_FALSE(decodesWhen([](SearchAnswer& a) { a.mutable_hits(0)->set_size_bytes(~0ull); }));
  CHECK_FALSE(decodesWhen([](SearchAnswer& a) { a.mutable_holders(0)->set_id("a:b"); }));
  CHECK_FALSE(decodesWhen([](SearchAnswer& a) { a.mutable_holders(0)->set_port(65536); }));
  CHECK_FALSE(decodesWhen([](SearchAnswer& a) { a.mutable_missing(0)->set_id(""); }));
  CHECK_FALSE(decodesWhen([](SearchAnswer& a) { a.mutable_missing(0)->set_below(~0ull); }));
  CHECK_FALSE(decodesWhen([](SearchAnswer& a) { a.set_indexing(0, ".."); }));
  CHECK_FALSE(decodesWhen([](SearchAnswer& a) { a.mutable_more(0)->set_holder(" "); }));
}

TEST_CASE("ranges of impossible join orders are refused") {
  using proto::SearchAnswer;
  const auto with = [](std::initializer_list<std::uint64_t> numbers) {
    return decodesWhen([&](SearchAnswer& a) {
      a.clear_coverage();
      for (const auto number : numbers) a.add_coverage(number);
    });
  };
  CHECK(with({1, 0}));
  CHECK(with({1, limits::kMembers - 1}));
  CHECK(with({limits::kJoinOrder, 0}));
  CHECK_FALSE(with({1}));
  CHECK_FALSE(with({0, 0}));
  CHECK_FALSE(with({1, limits::kMembers}));
  CHECK_FALSE(with({1, ~0ull}));
  CHECK_FALSE(with({~0ull, 0}));
  CHECK_FALSE(with({~0ull, ~0ull}));
  CHECK_FALSE(with({limits::kJoinOrder, 1}));
  CHECK_FALSE(with({1, limits::kMembers / 2, 2, limits::kMembers / 2}));
  CHECK_FALSE(decodesWhen([](SearchAnswer& a) {
    a.clear_coverage();
    for (std::size_t i = 0; i <= limits::kCoverageRanges; ++i) {
      a.add_coverage(2);
      a.add_coverage(0);
    }
  }));
}

TEST_CASE("ranges end at the last order of joining that there is") {
  const auto with = [](std::initializer_list<std::uint64_t> numbers) {
    return decodesWhen([&](proto::SearchAnswer& a) {
      a.clear_coverage();
      for (const auto number : numbers) a.add_coverage(number);
    });
  };
  constexpr std::uint64_t kLast = limits::kJoinOrder;
  CHECK(with({kLast - 1, 1}));
  CHECK(with({kLast - 2, 0, 2, 0}));
  CHECK(with({1, 0, kLast - 1, 0}));
  CHECK_FALSE(with({kLast - 1, 2}));
  CHECK_FALSE(with({kLast, 0, 1, 0}));
  CHECK_FALSE(with({kLast - 2, 0, 3, 0}));
  CHECK_FALSE(with({kLast - 2, 0, 2, 1}));
  // Sums that overflow an int64_t, and one that would be 1 again.
  CHECK_FALSE(with({kLast, 0, kLast, 0}));
  CHECK_FALSE(with({kLast, 0, kLast, limits::kMembers - 1}));
  CHECK_FALSE(with({kLast, 0, kLast, 0, 3, 0}));

  auto answer = fullAnswer();
  answer.coverage = {{1, 2}, {1ull << 40 | 1, 1ull << 40 | 7}, {kLast - 1, kLast}};
  answer.missing[0].order = JoinOrder{kLast};
  checkRoundTrip(answer);
}

TEST_CASE("a query that makes no sense is refused") {
  using proto::SearchQuery;
  CHECK(queryDecodesWhen([](SearchQuery&) {}));
  CHECK_FALSE(queryDecodesWhen([](SearchQuery& q) { q.set_id(""); }));
  CHECK_FALSE(queryDecodesWhen([](SearchQuery& q) { q.set_kind(0); }));
  CHECK_FALSE(queryDecodesWhen([](SearchQuery& q) { q.set_kind(6); }));
  CHECK_FALSE(queryDecodesWhen([](SearchQuery& q) { q.set_text(""); }));
  CHECK_FALSE(queryDecodesWhen(
      [](SearchQuery& q) { q.set_text(std::string(limits::kPatternBytes + 1, 'x')); }));
  CHECK_FALSE(queryDecodesWhen([](SearchQuery& q) { q.set_asker(""); }));
  CHECK_FALSE(wire::decodeSearch("").ok());
  CHECK_FALSE(wire::decodeSearch("\xff\xff").ok());
  CHECK_FALSE(wire::decodeSearch(std::string(limits::kFrameBytes + 1, 'x')).ok());
}

TEST_CASE("a budget beyond the limit is cut to it") {
  proto::Search message;
  wire::toProto(wire::Query{queryId(2), PatternKind::glob, "*", 1h, peerId("s1"), 1}, message);
  CHECK(message.query().budget_ms() == 60'000);
  message.mutable_query()->set_budget_ms(~0u);
  const auto query = wire::decodeSearch(message.SerializeAsString());
  REQUIRE(query.ok());
  CHECK(std::get<wire::Query>(*query).budget == 60s);
}

TEST_CASE("the size bound of an answer is never below its size") {
  const auto text = [](std::size_t most) {
    return rc::gen::resize(static_cast<int>(most), rc::gen::string<std::string>());
  };
  CHECK(rc::check([&] {
    auto answer = fullAnswer();
    answer.coverage.clear();
    auto bound = wire::kAnswerOverheadBytes;
    const auto count = *rc::gen::inRange(0, 50);
    for (int i = 0; i < count; ++i) {
      const auto holder = "peer" + std::to_string(*rc::gen::inRange(0, 9)) + std::string(50, 'x');
      auto hit = hitOf("n" + *text(300), holder);
      hit.sizeBytes = *rc::gen::arbitrary<std::uint64_t>();
      answer.hits.push_back(hit);
      answer.more.push_back({hit.holder, ~0ull});
      answer.missing.push_back({hit.holder, JoinOrder{~0ull}, ~0ull});
      answer.indexing.push_back(hit.holder);
      answer.coverage.push_back({limits::kJoinOrder - 100 + static_cast<std::uint64_t>(2 * i),
                                 limits::kJoinOrder - 100 + static_cast<std::uint64_t>(2 * i)});
    }
    for (const auto& hit : answer.hits) bound += wire::sizeBound(hit);
    for (const auto& more : answer.more) bound += wire::sizeBound(more);
    for (const auto& missing : answer.missing) bound += wire::sizeBound(missing);
    for (const auto& peer : answer.indexing) bound += wire::sizeBound(peer);
    for (const auto& range : answer.coverage) bound += wire::sizeBound(range);
    RC_ASSERT(wire::encodeSearch(answer).size() <= bound);
  }));
}

TEST_CASE("random bytes only fail") {
  CHECK(rc::check([](const std::string& bytes) {
    const auto message = wire::decodeSearch(bytes);
    if (message) RC_ASSERT(wire::decodeSearch(wire::encodeSearch(*message)).ok());
  }));
}
