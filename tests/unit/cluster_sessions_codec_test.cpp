#include <doctest/doctest.h>
#include <fmt/format.h>
#include <rapidcheck.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/limits.h"
#include "common/wire/cluster_codec.h"
#include "tests/unit/cluster_codec_fixture.h"

using namespace espalier;
using test::decodes;
using test::decodesWhen;
using wire::SessionAnswers;
using wire::SessionId;
using wire::SessionRequests;
using wire::SessionResumed;

namespace {

// --- random batches

SessionId someSession() {
  return SessionId{test::numberOf<std::uint64_t>(1, limits::kSessionNumber)};
}

JoinOrder someOrder(std::uint64_t least) {
  return JoinOrder{test::numberOf<std::uint64_t>(least, limits::kJoinOrder)};
}

SessionResumed someResumed() {
  SessionResumed resumed;
  resumed.session = someSession();
  resumed.kind = static_cast<SessionResumed::Kind>(test::numberOf(1, 3));
  resumed.host = test::someHost();
  resumed.join = test::someJoin();
  resumed.portTaken = test::numberOf<std::uint16_t>(0, 0xffff);
  if (resumed.kind != SessionResumed::Kind::undecided) {
    resumed.join.order = someOrder(1);
    resumed.join.listen = test::someContact().endpoint;
  }
  return resumed;
}

wire::RegistryRequest someDecidedRequest() {
  switch (test::numberOf(0, 5)) {
    case 0:
      return test::someJoin();
    case 1:
      return wire::PortTaken{test::numberOf<std::uint16_t>(1, 0xffff)};
    case 2:
      return wire::Links{test::maybeId(), test::someIds(limits::kMaxLinks), test::someNumber()};
    case 3:
      return wire::Seek{test::maybeId(), test::maybeId()};
    case 4:
      return wire::Rate{3, test::textOf(0, 99), 1 + test::numberOf<std::uint64_t>(0, 9)};
    default:
      return wire::Quit{};
  }
}

wire::SessionMessage someMessage() {
  switch (test::numberOf(0, 3)) {
    case 0:
      return wire::SessionOpened{someSession(), test::someHost()};
    case 1:
      return wire::SessionRequest{someSession(), someDecidedRequest()};
    case 2:
      return someResumed();
    default:
      return wire::SessionEnded{someSession()};
  }
}

bool isHomes(const wire::RegistryReply& reply) {
  return std::holds_alternative<wire::RegistryHeartbeatReply>(reply) ||
         std::holds_alternative<wire::Members>(reply) ||
         std::holds_alternative<wire::Redirect>(reply) ||
         std::holds_alternative<wire::Topology>(reply) ||
         std::holds_alternative<wire::Statistics>(reply);
}

wire::SessionAnswer someAnswer() {
  switch (test::numberOf(0, 2)) {
    case 0: {
      auto reply = test::someRegistryReply();
      if (isHomes(reply)) reply = wire::Failure{ErrorCode::refused, "no"};
      return wire::SessionReply{someSession(), std::move(reply)};
    }
    case 1:
      return wire::SessionClosed{someSession()};
    default:
      return wire::SessionReading{someSession(), *rc::gen::arbitrary<bool>()};
  }
}

SessionRequests someRequests(std::size_t most) {
  SessionRequests batch{test::someEpoch(), test::numberOf<std::uint64_t>(1, ~0ull), 0, {}};
  for (auto i = test::numberOf<std::size_t>(0, most); i > 0; --i) {
    batch.messages.push_back(someMessage());
  }
  batch.sequence = test::someSequence(batch.messages.size());
  return batch;
}

SessionAnswers someAnswers(std::size_t most) {
  SessionAnswers batch{test::someEpoch(),
                       test::numberOf<std::uint64_t>(1, ~0ull),
                       0,
                       *rc::gen::arbitrary<bool>(),
                       {}};
  for (auto i = test::numberOf<std::size_t>(0, most); i > 0; --i) {
    batch.messages.push_back(someAnswer());
  }
  batch.sequence = test::someSequence(batch.messages.size());
  return batch;
}

wire::ClusterMessage someBatch() {
  if (*rc::gen::arbitrary<bool>()) return someRequests(4);
  return someAnswers(4);
}

// --- given batches

SessionRequests requestsOf(std::vector<wire::SessionMessage> messages) {
  const auto count = messages.size();
  return {{3, ServerNumber{7}}, 2, count, std::move(messages)};
}

SessionAnswers answersOf(std::vector<wire::SessionAnswer> answers) {
  const auto count = answers.size();
  return {{3, ServerNumber{7}}, 2, count, false, std::move(answers)};
}

wire::Join joinOf(std::uint64_t order) {
  wire::Join join;
  join.id = *PeerId::parse("s1");
  join.order = JoinOrder{order};
  join.listen = {"127.0.0.1", 5001};
  return join;
}

SessionResumed resumed(SessionResumed::Kind kind) {
  return {SessionId{1}, kind, "127.0.0.1", joinOf(4), 0};
}

std::vector<PeerId> longIds() {
  std::vector<PeerId> ids;
  for (unsigned i = 0; i < limits::kMaxLinks; ++i) {
    ids.push_back(*PeerId::parse(fmt::format("{:y>64}", i)));
  }
  return ids;
}

SessionResumed largestResumed() {
  SessionResumed largest = resumed(SessionResumed::Kind::member);
  largest.session = SessionId{limits::kSessionNumber};
  largest.host = test::longHost();
  largest.portTaken = 0xffff;
  largest.join = {longIds()[0],
                  *InstanceKey::fromRaw("a key of 16 byte"),
                  std::string(limits::kJoinWordBytes, 'w'),
                  {test::longHost(), 0xffff},
                  *wire::NetworkId::fromRaw("the largest one."),
                  JoinOrder{limits::kJoinOrder},
                  longIds()[1],
                  longIds()};
  return largest;
}

// Whether the frames of a batch have its head and its messages, in order, and rising sequences.
template <typename Batch>
void checkCut(const Batch& batch, const std::optional<wire::Route>& route) {
  const auto payloads = encodeBatches(batch, route);
  REQUIRE_FALSE(payloads.empty());
  Batch whole = batch;
  whole.messages.clear();
  std::uint64_t sequence = batch.sequence - batch.messages.size();
  for (const auto& payload : payloads) {
    REQUIRE(payload.size() <= limits::kFrameBytes);
    const auto frame = wire::decodeCluster(payload);
    REQUIRE(frame.ok());
    CHECK(frame->route == route);
    const auto& part = std::get<Batch>(frame->message);
    sequence += part.messages.size();
    CHECK(part.sequence == sequence);
    CHECK((payloads.size() == 1 || !part.messages.empty()));
    CHECK(part.messages.size() <= limits::kSessionBatch);
    Batch head = part;
    head.sequence = batch.sequence;
    head.messages.clear();
    const auto& messages = part.messages;
    whole.messages.insert(whole.messages.end(), messages.begin(), messages.end());
    Batch wholeHead = batch;
    wholeHead.messages.clear();
    CHECK(head == wholeHead);
  }
  CHECK(sequence == batch.sequence);
  CHECK((whole == batch));
}

const wire::Route kRoute{ServerNumber{0xffff}, ServerNumber{0xfffe}, limits::kMetaservers};

template <typename Change>
bool requestDecodesWhen(wire::SessionMessage message, Change change) {
  return decodesWhen(requestsOf({std::move(message)}), [&](auto& frame) {
    change(*frame.mutable_session_requests()->mutable_messages(0));
  });
}

template <typename Change>
bool answerDecodesWhen(wire::SessionAnswer answer, Change change) {
  return decodesWhen(answersOf({std::move(answer)}), [&](auto& frame) {
    change(*frame.mutable_session_answers()->mutable_messages(0));
  });
}

}  // namespace

TEST_CASE("batches about sessions read back as they were written") {
  CHECK(rc::check([] {
    const auto batch = someBatch();
    const auto route = test::maybeRoute();
    const auto back = wire::decodeCluster(wire::encode(batch, route));
    if (!back) RC_FAIL(back.error().message);
    RC_ASSERT(back->message == batch);
    RC_ASSERT(back->route == route);
  }));
}

TEST_CASE("of a damaged batch comes an error, or a batch that reads back as itself") {
  CHECK(rc::check(
      [] { test::checkDecoded(test::damaged(wire::encode(someBatch(), test::maybeRoute()))); }));
}

TEST_CASE("a batch that fits a frame is the same with and without cutting") {
  CHECK(rc::check([] {
    const auto route = test::maybeRoute();
    const auto requests = someRequests(4);
    RC_ASSERT(encodeBatches(requests, route) ==
              std::vector<std::string>{wire::encode(requests, route)});
    const auto answers = someAnswers(2);
    RC_ASSERT(encodeBatches(answers, route) ==
              std::vector<std::string>{wire::encode(answers, route)});
  }));
}

TEST_CASE("a large batch is cut into frames, each with the sequence of its last message") {
  auto requests = requestsOf({});
  auto answers = answersOf({});
  answers.isBroken = true;
  for (std::uint64_t i = 1; i <= 9000; ++i) {
    requests.messages.push_back(wire::SessionEnded{SessionId{i}});
    answers.messages.push_back(wire::SessionReading{SessionId{i}, i % 2 == 0});
    if (i % 30 != 0) continue;
    requests.messages.push_back(largestResumed());
    answers.messages.push_back(
        wire::SessionReply{SessionId{i}, wire::Strangers{~0ull, longIds(), longIds()}});
  }
  requests.sequence = limits::kSequenceNumbers - 1;
  answers.sequence = answers.messages.size();
  CHECK(encodeBatches(requests).size() > 20);
  checkCut(requests, std::nullopt);
  checkCut(requests, kRoute);
  checkCut(answers, std::nullopt);
  checkCut(answers, kRoute);
}

TEST_CASE("a batch of many small messages is cut at the most that a frame may have") {
  auto requests = requestsOf({});
  for (std::uint64_t i = 1; i <= 2 * limits::kSessionBatch + 1; ++i) {
    requests.messages.push_back(wire::SessionEnded{SessionId{i % 100 + 1}});
  }
  requests.sequence = requests.messages.size();
  CHECK(encodeBatches(requests).size() == 3);
  checkCut(requests, kRoute);
}

TEST_CASE("batches of messages of all sizes keep their order when they are cut") {
  CHECK(rc::check([] {
    const auto requests = someRequests(60);
    const auto answers = someAnswers(60);
    checkCut(requests, test::maybeRoute());
    checkCut(answers, test::maybeRoute());
  }));
}

TEST_CASE("an empty batch is one frame") {
  SessionRequests requests = requestsOf({});
  requests.sequence = 17;
  CHECK(encodeBatches(requests) == std::vector<std::string>{wire::encode(requests)});
  checkCut(requests, kRoute);
  checkCut(answersOf({}), std::nullopt);
}

TEST_CASE("the head of a batch beyond its limits is refused") {
  const auto inBoth = [](auto set) {
    const bool inRequests = decodesWhen(
        requestsOf({wire::SessionEnded{SessionId{1}}, wire::SessionEnded{SessionId{2}}}),
        [&](auto& frame) { set(*frame.mutable_session_requests()); });
    const bool inAnswers = decodesWhen(
        answersOf({wire::SessionClosed{SessionId{1}}, wire::SessionClosed{SessionId{2}}}),
        [&](auto& frame) { set(*frame.mutable_session_answers()); });
    CHECK(inRequests == inAnswers);
    return inRequests;
  };
  CHECK(inBoth([](auto& b) { b.set_epoch_counter(limits::kEpochCounter); }));
  CHECK_FALSE(inBoth([](auto& b) { b.set_epoch_counter(limits::kEpochCounter + 1); }));
  CHECK(inBoth([](auto& b) { b.set_epoch_number(0xffff); }));
  CHECK_FALSE(inBoth([](auto& b) { b.set_epoch_number(0x1'0000); }));
  CHECK(inBoth([](auto& b) { b.set_stream(~0ull); }));
  CHECK_FALSE(inBoth([](auto& b) { b.set_stream(0); }));
  CHECK(inBoth([](auto& b) { b.set_sequence(2); }));
  CHECK_FALSE(inBoth([](auto& b) { b.set_sequence(1); }));
  CHECK(inBoth([](auto& b) { b.set_sequence(limits::kSequenceNumbers - 1); }));
  CHECK_FALSE(inBoth([](auto& b) { b.set_sequence(limits::kSequenceNumbers); }));
  const auto many = [&](std::size_t count) {
    return inBoth([&](auto& b) {
      const auto first = b.messages(0);
      b.clear_messages();
      for (std::size_t i = 0; i < count; ++i) *b.add_messages() = first;
      b.set_sequence(count);
    });
  };
  CHECK(many(0));
  CHECK(many(limits::kSessionBatch));
  CHECK_FALSE(many(limits::kSessionBatch + 1));
}

TEST_CASE("a session has a number up to 2^47 - 1, and its message a kind") {
  const std::vector<wire::SessionMessage> messages = {
      wire::SessionOpened{SessionId{1}, "127.0.0.1"},
      wire::SessionRequest{SessionId{1}, wire::Quit{}}, resumed(SessionResumed::Kind::undecided),
      wire::SessionEnded{SessionId{1}}};
  for (const auto& message : messages) {
    const auto with = [&](auto set) { return requestDecodesWhen(message, set); };
    CHECK(with([](auto& m) { m.set_session(limits::kSessionNumber); }));
    CHECK_FALSE(with([](auto& m) { m.set_session(limits::kSessionNumber + 1); }));
    CHECK_FALSE(with([](auto& m) { m.set_session(0); }));
    CHECK_FALSE(with([](auto& m) { m.clear_kind(); }));
  }
  const std::vector<wire::SessionAnswer> answers = {
      wire::SessionReply{SessionId{1}, wire::Wait{"for others"}}, wire::SessionClosed{SessionId{1}},
      wire::SessionReading{SessionId{1}, true}};
  for (const auto& answer : answers) {
    const auto with = [&](auto set) { return answerDecodesWhen(answer, set); };
    CHECK(with([](auto& a) { a.set_session(limits::kSessionNumber); }));
    CHECK_FALSE(with([](auto& a) { a.set_session(limits::kSessionNumber + 1); }));
    CHECK_FALSE(with([](auto& a) { a.set_session(0); }));
    CHECK_FALSE(with([](auto& a) { a.clear_kind(); }));
  }
}

TEST_CASE("a session is opened and resumed with the address of its peer") {
  for (const std::string& host : {std::string(), std::string("a b"), std::string("fe80::1%eth0"),
                                  std::string("[::1]"), "a" + test::longHost()}) {
    CHECK_FALSE(requestDecodesWhen(wire::SessionOpened{SessionId{1}, "::1"},
                                   [&](auto& m) { m.mutable_opened()->set_host(host); }));
    CHECK_FALSE(requestDecodesWhen(resumed(SessionResumed::Kind::member),
                                   [&](auto& m) { m.mutable_resumed()->set_host(host); }));
  }
}

TEST_CASE("a request that homes answer is refused in a batch, and so is a malformed one") {
  const auto with = [](auto set) {
    return requestDecodesWhen(wire::SessionRequest{SessionId{1}, joinOf(0)},
                              [&](auto& m) { set(*m.mutable_request()); });
  };
  CHECK(with([](auto& r) { r.mutable_quit(); }));
  CHECK(with([](auto& r) { r.mutable_seek(); }));
  CHECK(with([](auto& r) { r.mutable_links(); }));
  CHECK(with([](auto& r) { r.mutable_port_taken()->set_port(5001); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_heartbeat(); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_topology(); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_members(); }));
  CHECK_FALSE(with([](auto& r) { r.Clear(); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_port_taken()->set_port(0); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_join()->set_id(""); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_join()->set_order(limits::kJoinOrder + 1); }));
}

TEST_CASE("a resumed session has a known kind, a join that fits it, and limits") {
  const auto with = [](SessionResumed::Kind kind, auto set) {
    return requestDecodesWhen(resumed(kind), [&](auto& m) { set(*m.mutable_resumed()); });
  };
  using enum SessionResumed::Kind;
  for (const unsigned kind : {0u, 4u, 257u}) {
    CHECK_FALSE(with(member, [&](auto& r) { r.set_kind(kind); }));
  }
  const auto withoutOrder = [](auto& r) { r.mutable_join()->set_order(0); };
  const auto withoutHost = [](auto& r) { r.mutable_join()->set_listen_host(""); };
  const auto withoutPort = [](auto& r) { r.mutable_join()->set_listen_port(0); };
  for (const auto kind : {member, quitting}) {
    CHECK_FALSE(with(kind, withoutOrder));
    CHECK_FALSE(with(kind, withoutHost));
    CHECK_FALSE(with(kind, withoutPort));
  }
  CHECK(with(undecided, withoutOrder));
  CHECK(with(undecided, withoutHost));
  CHECK(with(undecided, withoutPort));
  CHECK_FALSE(with(undecided, [](auto& r) { r.clear_join(); }));
  CHECK_FALSE(with(member, [](auto& r) { r.mutable_join()->set_key("short"); }));
  CHECK(with(member, [](auto& r) { r.set_port_taken(0xffff); }));
  CHECK_FALSE(with(member, [](auto& r) { r.set_port_taken(0x1'0000); }));
}

TEST_CASE("a reply that homes give is refused in a batch, and so is a malformed one") {
  const auto with = [](auto set) {
    return answerDecodesWhen(wire::SessionReply{SessionId{1}, wire::Wait{"for others"}},
                             [&](auto& a) { set(*a.mutable_reply()); });
  };
  CHECK(with([](auto& r) { r.mutable_word_refused()->set_word("P2P"); }));
  CHECK(with([](auto& r) { r.mutable_strangers(); }));
  CHECK(with([](auto& r) { r.mutable_referral()->set_kind(2); }));
  CHECK(with([](auto& r) { r.mutable_failure()->set_code(78); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_heartbeat()->set_heartbeat_interval_ms(2000); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_topology(); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_members(); }));
  CHECK_FALSE(with([](auto& r) {
    r.mutable_redirect()->mutable_to()->set_host("127.0.0.1");
    r.mutable_redirect()->mutable_to()->set_port(5000);
    r.mutable_redirect()->set_network("a network's name");
  }));
  CHECK_FALSE(with([](auto& r) { r.Clear(); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_referral()->set_kind(4); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_referral()->set_kind(3); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_admitted(); }));
}

TEST_CASE("a batch that encodes to a frame is not refused for what its failures encode to") {
  // A failure without a code reads as code 1, which takes two bytes more.
  CHECK_FALSE(answerDecodesWhen(wire::SessionReply{SessionId{1}, wire::Failure{}}, [](auto& a) {
    a.mutable_reply()->mutable_failure()->set_code(0);
  }));
  // One of an unknown code takes fewer.
  CHECK(answerDecodesWhen(wire::SessionReply{SessionId{1}, wire::Failure{}},
                          [](auto& a) { a.mutable_reply()->mutable_failure()->set_code(~0u); }));
}
