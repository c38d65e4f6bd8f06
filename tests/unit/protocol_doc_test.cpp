// docs/protocol.md has an example of each message, as text and as bytes. This test compares each
// example with the same message as a struct: the encoder makes these bytes, the decoder reads them,
// protoc makes them from the text, and every message has an example.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "common/crypto/instance.h"
#include "common/wire/cluster_codec.h"
#include "common/wire/frame.h"
#include "common/wire/hello.h"
#include "common/wire/link_codec.h"
#include "common/wire/private_codec.h"
#include "common/wire/registry_codec.h"
#include "common/wire/transfer.h"
#include "tests/unit/rooms_examples.h"

using namespace espalier;
using namespace espalier::wire;
using namespace std::chrono_literals;

namespace {

// --- the messages that the page shows

PeerId peer(const std::string& text) {
  return *PeerId::parse(text);
}
Contact contactOf(unsigned number) {
  return {peer("s" + std::to_string(number)),
          JoinOrder{number},
          {"127.0.0.1", static_cast<std::uint16_t>(5000 + number)}};
}

const NetworkId kNetwork = *NetworkId::fromRaw("example network.");
const InstanceKey kKey = *InstanceKey::fromRaw("a key of 16 byte");
const QueryId kQuery = *QueryId::fromRaw("query number one");
const FileRoot kRoot = *FileRoot::fromRaw("the root of a file: 32 raw bytes");
const Lineage kLineage{contactOf(1), {contactOf(1)}, {contactOf(2), contactOf(3)}};

struct Example {
  std::string name;       // of the block
  std::string protoFile;  // where its frame is described
  std::string frame;
  std::string bytes;
  std::function<bool(const std::string&)> decodesToSame;
};

template <typename Variant>
Example exampleOf(const std::string& name, const std::string& file, const std::string& frame,
                  const Variant& message, Result<Variant> (*decode)(std::string_view)) {
  return {name, file, frame, encode(message), [=](const std::string& bytes) {
            const auto back = decode(bytes);
            return back.ok() && *back == message;
          }};
}

Example link(const std::string& name, const LinkMessage& message) {
  return exampleOf("link." + name, "link", "LinkFrame", message, &decodeLink);
}
Example request(const std::string& name, const RegistryRequest& message) {
  return exampleOf("registry." + name, "registry", "RegistryRequestFrame", message,
                   &decodeRegistryRequest);
}
Example reply(const std::string& name, const RegistryReply& message) {
  return exampleOf("registry." + name, "registry", "RegistryReplyFrame", message,
                   &decodeRegistryReply);
}
Example cluster(const std::string& name, const ClusterFrame& frame) {
  return exampleOf("cluster." + name, "cluster", "ClusterFrame", frame, &decodeCluster);
}
Example ask(const std::string& name, const TransferRequest& message) {
  return exampleOf("transfer." + name, "transfer", "TransferRequest", message,
                   &decodeTransferRequest);
}
Example answer(const std::string& name, const TransferAnswer& message) {
  return exampleOf("transfer." + name, "transfer", "TransferAnswer", message,
                   &decodeTransferAnswer);
}

Statistics statistics(std::uint64_t number) {
  Statistics sum;
  sum.number = number;
  sum.since = 1'795'000'000'000ms;
  sum.open = 5;
  sum.today = 7;
  sum.month = 31;
  sum.total = {40, 42, 2, 3, 13};
  sum.answered = 2;
  sum.known = 3;
  sum.missing = {*ServerName::parse("m5020")};
  sum.days = {{20'787, {7, 8, 1, 1, 4}}};
  return sum;
}

std::vector<Example> helloExamples() {
  const Hello hello{1, 1, Purpose::link, 0};
  const Failure failure{ErrorCode::protocol, "no frames"};
  return {
      {"hello.Hello", "hello", "Hello", encode(hello),
       [=](const std::string& bytes) {
         const auto back = decodeHello(bytes);
         return back.ok() && *back == hello;
       }},
      {"hello.Welcome", "hello", "Reply", encode(Welcome{1, 0, kNetwork}),
       [](const std::string& bytes) {
         const auto back = decodeWelcome(bytes);
         return back.ok() && *back == Welcome{1, 0, kNetwork};
       }},
      {"hello.Failure", "hello", "Reply", encode(failure),
       [=](const std::string& bytes) {
         const auto back = decodeWelcome(bytes);
         return !back.ok() && back.error() == Error{failure.code, failure.message};
       }},
  };
}

const std::map<std::size_t, Example>& linkExamples() {
  static const std::map<std::size_t, Example> examples = [] {
    Answer found;
    found.id = kQuery;
    found.hits = {{"f3.txt", 12, kRoot, peer("s3"), contactOf(3).endpoint}};
    found.coverage = {{1, 1}, {3, 4}};
    found.missing = {{peer("s7"), JoinOrder{7}, 3}};
    found.indexing = {peer("s4")};
    found.more = {{peer("s3"), 9800}};
    found.done = true;
    const PushId push = *PushId::fromRaw("push number one.");
    const PushOffer offer{push,
                          contactOf(1),
                          peer("s2"),
                          false,
                          PushEnd::open,
                          {{"f3.txt", 12, kRoot}},
                          {peer("s3"), peer("s4")}};
    const PushEntry declined{1,     PushState::declined, contactOf(3), peer("s2"),
                             false, "takes no pushes"};
    const PushEntry verified{2, PushState::verified, contactOf(4), peer("s2"), true, {}};
    const PushLedger ledger{push, PushEnd::closed, {declined, verified}};
    const std::vector<std::pair<std::string, LinkMessage>> messages = {
        {"Attach",
         Attach{kNetwork, contactOf(5), {17, 2}, 3, *LinkSecret::fromRaw("example secret..")}},
        {"Accepted", Accepted{contactOf(2), {18, 1}, 5, kLineage}},
        {"Referred", Referred{{contactOf(3), contactOf(4)}}},
        {"Held", Held{}},
        {"Refused", Refused{RefusalReason::younger}},
        {"Heartbeat", Heartbeat{{18, 1}, 5}},
        {"LineageChanged", LineageChanged{kLineage}},
        {"Raise", Raise{{17, 2}, contactOf(5), peer("s2")}},
        {"PeerExchange", PeerExchange{{contactOf(1), contactOf(3)}}},
        {"Farewell", Farewell{}},
        {"Query", Query{kQuery, PatternKind::glob, "*.txt", 3100ms, peer("s1"), 5}},
        {"Answer", found},
        {"Lost", Lost{kQuery}},
        {"PushOffer", offer},
        {"PushLedger", ledger},
    };
    std::map<std::size_t, Example> map;
    for (const auto& [name, message] : messages) {
      map.emplace(message.index(), link(name, message));
    }
    return map;
  }();
  return examples;
}

const std::map<std::size_t, Example>& requestExamples() {
  static const std::map<std::size_t, Example> examples = [] {
    std::vector<std::pair<std::string, RegistryRequest>> messages = {
        {"Join", Join{peer("s4"),
                      kKey,
                      "P2P",
                      {},
                      kNetwork,
                      JoinOrder{4},
                      peer("s2"),
                      {peer("s2"), peer("s5")},
                      0,
                      crypto::instanceOf(kKey)}},
        {"PortTaken", PortTaken{5004}},
        {"Links", Links{peer("s2"), {peer("s2"), peer("s5")}, 4}},
        {"Seek", Seek{peer("s2"), peer("s3")}},
        {"RegistryHeartbeat", RegistryHeartbeat{}},
        {"TopologyRequest", TopologyRequest{JoinOrder{250}, 5, peer("s4")}},
        {"MembersRequest", MembersRequest{6}},
        {"Quit", Quit{}},
        {"Rate", Rate{4, "fast today", 7}},
        {"StatisticsRequest", StatisticsRequest{7, 8}},
    };
    for (auto& one : test::roomRegistryRequests()) messages.push_back(std::move(one));
    std::map<std::size_t, Example> map;
    for (const auto& [name, message] : messages) {
      map.emplace(message.index(), request(name, message));
    }
    return map;
  }();
  return examples;
}

const std::map<std::size_t, Example>& replyExamples() {
  static const std::map<std::size_t, Example> examples = [] {
    const Referral below{Referral::Kind::below, contactOf(2)};
    const TopologyEntry entry{contactOf(1), {}, {peer("s2"), peer("s3")}};
    std::vector<std::pair<std::string, RegistryReply>> messages = {
        {"Admitted", Admitted{kNetwork, contactOf(4), 2, 2s, 4, below, {}, {{"127.0.0.1", 5020}}}},
        {"Referral", below},
        {"Wait", Wait{"waits for 2 peers of before"}},
        {"WordRefused", WordRefused{"P2P"}},
        {"Redirect", Redirect{{"127.0.0.1", 5020}, kNetwork}},
        {"RegistryHeartbeatReply",
         RegistryHeartbeatReply{2s, {}, {{"127.0.0.1", 5020}, {"m.example.net", 5000}}}},
        {"Members", Members{64, JoinOrder{71}, 6, {{1, 50}, {52, 64}}}},
        {"Topology", Topology{{entry, {contactOf(2), peer("s1"), {peer("s1")}}}, true, 5}},
        {"Failure", Failure{ErrorCode::refused, "s4 is in the network already", true}},
        {"Strangers", Strangers{4, {peer("s5")}, {}}},
        {"Rated", Rated{7, true}},
        {"Statistics", statistics(8)},
    };
    for (auto& one : test::roomRegistryReplies()) messages.push_back(std::move(one));
    std::map<std::size_t, Example> map;
    for (const auto& [name, message] : messages) {
      map.emplace(message.index(), reply(name, message));
    }
    return map;
  }();
  return examples;
}

const std::map<std::size_t, Example>& askExamples() {
  static const std::map<std::size_t, Example> examples = {
      {1, ask("ChunkListRequest", ChunkListRequest{kRoot})},
      {2, ask("ChunkRequest", ChunkRequest{kRoot, 1u << 20, 3, 2, 500ms})},
      {3, ask("ListRequest", ListRequest{"f3.txt"})},
      {4, ask("ChunksHeldRequest", ChunksHeldRequest{kRoot})},
      {5, ask("ChunkRejected", ChunkRejected{kRoot})},
  };
  return examples;
}

const std::map<std::size_t, Example>& answerExamples() {
  static const std::map<std::size_t, Example> examples = {
      {0, answer("ChunkList", ChunkList{3'000'000, 1u << 20, 2, {kRoot}, {}})},
      {1, answer("ChunkHeader", ChunkHeader{2, 902'848})},
      {2, answer("FileList", FileList{{{kRoot, 12, "f3.txt"}}, true, false, 2})},
      {3, answer("TransferFailure",
                 TransferFailure{TransferProblem::changed, "the file has changed"})},
      {4, answer("Waiting", Waiting{1})},
      {5, answer("ChunksHeld", ChunksHeld{false, 1 << 20, "\x05"})},
      {6, answer("ChunksCut", ChunksCut{4})},
  };
  return examples;
}

const std::map<std::size_t, Example>& clusterExamples() {
  static const std::map<std::size_t, Example> examples = [] {
    const auto state = [](std::uint16_t number, std::uint16_t heard) {
      ServerState made;
      made.name = *ServerName::parse("m" + std::to_string(number));
      made.number = ServerNumber{number};
      made.address = {"127.0.0.1", number};
      made.started = 1'795'000'000'000ms;
      made.peers = 2;
      made.sequence = 9;
      made.epoch = {3, ServerNumber{5000}};
      made.heard = {ServerNumber{heard}};
      made.network = kNetwork;
      made.isFounded = true;
      made.have = {{3, ServerNumber{5000}}, 12};
      made.version = "0.1.0";
      return made;
    };
    const DirectorySummary summary{{3, ServerNumber{5000}, 12}, 2, JoinOrder{4}, {17, 18}};
    DirectorySummary awaiting = summary;
    awaiting.isAwaiting = true;
    awaiting.absentCount = 1;
    awaiting.absentDigest = {19, 20};
    const AbsentRow absent{contactOf(1), kKey, true, false};
    DirectoryRow row;
    row.contact = contactOf(4);
    row.key = kKey;
    row.neighbours = {peer("s5"), peer("s2")};
    row.above = JoinOrder{2};
    row.reportedParent = 2;
    row.home = ServerNumber{5010};
    row.generation = 1;
    row.rooms = {*RoomName::parse("fleece")};
    row.roomsRevision = 2;
    std::array<std::uint8_t, 16> nonce{};
    std::array<std::uint8_t, 32> mac{};
    std::copy_n("sixteen at random", nonce.size(), nonce.begin());
    std::copy_n("an HMAC-SHA-256 of 32 raw bytes.", mac.size(), mac.begin());
    const Epoch epoch{3, ServerNumber{5000}};
    const Route toMaster{ServerNumber{5010}, ServerNumber{5000}, 2};
    SessionResumed resumed;
    resumed.session = SessionId{6};
    resumed.host = "127.0.0.1";
    resumed.join = {peer("s4"), kKey, {}, contactOf(4).endpoint, kNetwork, JoinOrder{4}, {}, {}};
    const Admitted admitted{kNetwork, contactOf(5), 2, 2s, 4, {Referral::Kind::keep, {}}, {}, {}};
    const SessionRequests requests{
        epoch,
        1,
        9,
        {SessionOpened{SessionId{8}, "127.0.0.1"}, SessionRequest{SessionId{8}, Seek{}}, resumed,
         SessionEnded{SessionId{2}}, SessionRoomPassed{test::roomExamples().passed.at(1).second}}};
    const SessionAnswers answers{epoch,
                                 1,
                                 5,
                                 false,
                                 {SessionReply{SessionId{8}, admitted}, SessionClosed{SessionId{6}},
                                  SessionReading{SessionId{8}, true},
                                  SessionRoomAnswer{test::roomExamples().answers.at(1).second}}};
    const std::vector<std::pair<std::string, ClusterFrame>> messages = {
        {"Introduction", {{}, Introduction{state(5010, 5000), nonce, {{"election", "oldest"}}, 1}}},
        {"Beat", {{}, Beat{state(5000, 5010), {state(5010, 5000)}}}},
        {"Proof", {{}, Proof{mac}}},
        {"SnapshotPage", {{}, SnapshotPage{6, summary, JoinOrder{2}, kAllOrders, {row}}}},
        {"Delta", {{}, Delta{awaiting, {JoinOrder{3}}, {row}, {JoinOrder{2}}, {absent}}}},
        {"Pull", {{}, Pull{{epoch, 11}, kAllOrders, 6}}},
        {"Position", {{}, Position{summary, 6}}},
        {"Have", {toMaster, Have{{epoch, 12}}}},
        {"Failure",
         {{}, Failure{ErrorCode::configuration, "the two metaservers have different secrets"}}},
        {"Handover", {{}, Handover{{epoch, 12}}}},
        {"Appoint", {{}, Appoint{}}},
        {"SessionRequests", {{}, requests}},
        {"SessionAnswers", {{}, answers}},
        {"StatisticsRequest", {toMaster, StatisticsRequest{7, 3}}},
        {"Statistics", {{}, statistics(3)}},
        {"Rooms", {{}, test::roomExamples().servers.at(2).second}},
    };
    std::map<std::size_t, Example> map;
    for (const auto& [name, frame] : messages) {
      map.emplace(frame.message.index(), cluster(name, frame));
    }
    return map;
  }();
  return examples;
}

const std::map<std::size_t, Example>& privateExamples() {
  static const std::map<std::size_t, Example> examples = [] {
    const std::vector<std::pair<std::string, PrivateFrame>> messages = {
        {"PrivateIntroduction",
         PrivateIntroduction{peer("s1"), *InstanceHash::fromRaw("instance of s1.."),
                             *InstanceHash::fromRaw("instance of s2.."), 1000}},
        {"PrivateReady", PrivateReady{6}},
        {"PrivateMessage", PrivateMessage{7, 1'795'000'000'000ms, "hello"}},
        {"PrivateStored", PrivateStored{7}},
        {"PrivateRefusal",
         PrivateRefusal{PrivateRefusal::Reason::turnedAway, "s2 takes no messages from s1"}},
    };
    std::map<std::size_t, Example> map;
    for (const auto& [name, message] : messages) {
      map.emplace(message.index(),
                  exampleOf("private." + name, "private", "PrivateFrame", message, &decodePrivate));
    }
    return map;
  }();
  return examples;
}

template <typename Variant>
void addRooms(std::vector<Example>& examples, const std::string& frame,
              const std::vector<std::pair<std::string, Variant>>& messages,
              Result<Variant> (*decode)(std::string_view)) {
  std::set<std::size_t> kinds;
  for (const auto& [name, message] : messages) {
    examples.push_back(exampleOf("rooms." + name, "rooms", frame, message, decode));
    kinds.insert(message.index());
  }
  INFO("each message of a " << frame << " has an example");
  CHECK(kinds.size() == std::variant_size_v<Variant>);
}

void addRooms(std::vector<Example>& examples) {
  const auto rooms = test::roomExamples();
  addRooms(examples, "RoomRequest", rooms.requests, &decodeRoomRequest);
  addRooms(examples, "RoomReply", rooms.replies, &decodeRoomReply);
  addRooms(examples, "RoomPassed", rooms.passed, &decodeRoomPassed);
  addRooms(examples, "RoomAnswer", rooms.answers, &decodeRoomAnswer);
  addRooms(examples, "RoomServerMessage", rooms.servers, &decodeRoomServerMessage);
}

std::vector<Example> allExamples() {
  auto examples = helloExamples();
  addRooms(examples);
  for (const auto* family : {&requestExamples(), &replyExamples(), &linkExamples(), &askExamples(),
                             &answerExamples(), &privateExamples(), &clusterExamples()}) {
    for (const auto& [index, example] : *family) examples.push_back(example);
  }
  return examples;
}

// --- the page

struct Block {
  std::string text;
  std::string bytes;
};

std::string fromHex(const std::string& hex) {
  std::istringstream words(hex);
  std::string bytes;
  for (std::string word; words >> word;) {
    REQUIRE(word.size() == 2);
    bytes += static_cast<char>(std::stoi(word, nullptr, 16));
  }
  return bytes;
}

std::string spaced(const std::string& bytes) {
  const std::string hex = toHex(bytes);
  std::string lines;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) lines += i % 24 == 0 ? '\n' : ' ';
    lines += hex.substr(2 * i, 2);
  }
  return lines;
}

// ```example NAME, the message as text, a line ---, hexadecimal bytes, ```
std::map<std::string, Block> readBlocks() {
  std::ifstream page(std::string(SOURCE_ROOT) + "/docs/protocol.md");
  REQUIRE(page.good());
  const std::string opening = "```example ";
  std::map<std::string, Block> blocks;
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with(opening)) continue;
    const std::string name = line.substr(opening.size());
    INFO("example " << name);
    Block block;
    while (std::getline(page, line) && line != "---" && line != "```") block.text += line + '\n';
    REQUIRE(line == "---");
    std::string hex;
    while (std::getline(page, line) && line != "```") hex += line + ' ';
    block.bytes = fromHex(hex);
    CHECK(blocks.emplace(name, block).second);
  }
  return blocks;
}

// Another implementation's opinion: what protoc makes of the text.
std::string encodedByProtoc(const Example& example, const std::string& text) {
  const std::string root = SOURCE_ROOT;
  const std::string command = "printf '%s' \"$ESPALIER_EXAMPLE\" | '" PROTOC "' --proto_path='" +
                              root + "/common/wire' --encode=espalier.proto." + example.frame +
                              " " + example.protoFile + ".proto";
  ::setenv("ESPALIER_EXAMPLE", text.c_str(), 1);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(command.c_str(), "r"),
                                                             &::pclose);
  REQUIRE(pipe);
  std::string bytes;
  for (int c = std::fgetc(pipe.get()); c != EOF; c = std::fgetc(pipe.get())) {
    bytes += static_cast<char>(c);
  }
  return bytes;
}

}  // namespace

TEST_CASE("every message of every family has an example") {
  CHECK(linkExamples().size() == std::variant_size_v<LinkMessage>);
  CHECK(requestExamples().size() == std::variant_size_v<RegistryRequest>);
  CHECK(replyExamples().size() == std::variant_size_v<RegistryReply>);
  // That a request is of no kind that this version knows is nothing that one sends.
  CHECK(askExamples().size() + 1 == std::variant_size_v<TransferRequest>);
  CHECK(answerExamples().size() == std::variant_size_v<TransferAnswer>);
  CHECK(privateExamples().size() == std::variant_size_v<PrivateFrame>);
  CHECK(clusterExamples().size() == std::variant_size_v<ClusterMessage>);

  std::set<std::string> wanted;
  for (const auto& example : allExamples()) wanted.insert(example.name);
  std::set<std::string> shown;
  for (const auto& [name, block] : readBlocks()) shown.insert(name);
  for (const auto& name : wanted) {
    INFO("docs/protocol.md has no example of " << name);
    CHECK(shown.contains(name));
  }
  for (const auto& name : shown) {
    INFO("docs/protocol.md has an example of an unknown " << name);
    CHECK(wanted.contains(name));
  }
}

TEST_CASE("the examples' bytes are what their messages encode to, and decode to them") {
  const auto blocks = readBlocks();
  for (const auto& example : allExamples()) {
    const auto block = blocks.find(example.name);
    if (block == blocks.end()) continue;  // the test above fails
    INFO(example.name << " encodes to\n" << spaced(example.bytes));
    CHECK(block->second.bytes == example.bytes);
    CHECK(example.decodesToSame(block->second.bytes));
  }
}

TEST_CASE("the examples' text is what their bytes say") {
  const auto blocks = readBlocks();
  for (const auto& example : allExamples()) {
    const auto block = blocks.find(example.name);
    if (block == blocks.end()) continue;
    INFO(example.name);
    CHECK(encodedByProtoc(example, block->second.text) == block->second.bytes);
  }
}

TEST_CASE("the first frame that the page shows is a Hello for a link") {
  std::ifstream page(std::string(SOURCE_ROOT) + "/docs/protocol.md");
  REQUIRE(page.good());
  std::string line;
  while (std::getline(page, line) && line != "```frame") {
  }
  REQUIRE(std::getline(page, line));
  FrameReader reader;
  reader.append(fromHex(line));
  const auto frame = reader.next();
  REQUIRE(frame.ok());
  REQUIRE(frame->has_value());
  const auto hello = decodeHello(**frame);
  REQUIRE(hello.ok());
  CHECK(*hello == Hello{1, 1, Purpose::link, 0});
  CHECK(reader.rest().empty());
}
