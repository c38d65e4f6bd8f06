#include "metaserver/shell/state_file.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>
#include <stdlib.h>

#include <fstream>
#include <vector>

#include "common/base/file.h"
#include "common/base/fs.h"
#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/wire/registry_codec.h"
#include "metaserver/core/cluster/epoch.h"
#include "tests/unit/wire_generators.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::shell;

namespace {

const std::string kNetwork(32, 'a');
const std::string kKey(32, 'b');
const std::string kHeader = "espalier-network 1 " + kNetwork + " 9\n";

std::string line(std::string_view order, std::string_view endpoint, std::string_view id) {
  return std::string(order) + " " + std::string(endpoint) + " " + kKey + " " + std::string(id) +
         "\n";
}

class File {
 public:
  explicit File(std::string_view text) {
    std::string name = "/tmp/espalier-network-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
    std::ofstream(path()) << text;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { fs::remove_all(folder_); }
  std::string path() const { return folder_ + "/network"; }
  std::string text(std::string_view suffix = "") const {
    return readFile(path() + std::string(suffix), 1 << 20).valueOr("nothing");
  }

 private:
  std::string folder_;
};

// Texts that try to be mistaken for something else where the file is read.
std::string hostileText() {
  const std::string alphabet = "[]:%. \n\t\x01\"\\/-_0159axX\xc3\xbc\xff";
  if (*rc::gen::arbitrary<bool>()) return test::someHost();
  return *rc::gen::container<std::string>(test::numberOf<std::size_t>(0, 12),
                                          rc::gen::elementOf(alphabet));
}

// What the registry keeps of a Join that arrives as these bytes; none if the codec refuses it.
std::optional<Remembered> admitted(const wire::Join& join) {
  const auto arrived = wire::decodeRegistryRequest(wire::encode(wire::RegistryRequest(join)));
  if (!arrived) return std::nullopt;
  const auto& read = std::get<wire::Join>(*arrived);
  Endpoint endpoint = read.listen;
  if (endpoint.host.empty()) endpoint.host = "2001:db8::7";  // where the connection came from
  if (endpoint.port == 0) endpoint.port = 5001;              // what the registry assigns
  return Remembered{read.id, read.key, JoinOrder{1}, endpoint};
}

}  // namespace

TEST_CASE("every value that the codec accepts reads back after a restart") {
  std::size_t let = 0;
  CHECK(rc::check([&] {
    auto join = test::someJoin();
    join.listen.host = hostileText();
    auto member = admitted(join);
    if (!member) return;
    ++let;
    member->order = JoinOrder{test::numberOf<std::uint64_t>(1, limits::kJoinOrder - 1)};
    const State state{
        test::rawOf<wire::NetworkId>(), *cluster::orderAfter(member->order, {}), {*member}};
    if (state.network.isZero()) return;
    const auto read = parseState(formatState(state));
    RC_ASSERT(read.ok());
    RC_ASSERT(read->problems.empty());
    RC_ASSERT(read->state == state);
  }));
  CHECK(let > 10);
}

TEST_CASE("the host that once kept a metaserver from starting does not pass the codec") {
  for (const std::string host : {"[x", "x]", "[::1]", "a b", "a:1", "::1%lo", "\n1"}) {
    CAPTURE(escaped(host));
    wire::Join join;
    join.id = *PeerId::parse("s1");
    join.listen = {host, 5001};
    CHECK_FALSE(admitted(join).has_value());
  }
}

TEST_CASE("a damaged line affects only its own peer") {
  const std::string text =
      kHeader + line("1", "127.0.0.1:5001", "s1") + line("2", "[x:5002", "s2") + "\n" +
      line("3", "127.0.0.1:5003", "s3") + line("3", "127.0.0.1:5004", "s4") +
      line("5", "127.0.0.1:5005", "s1") + line("6", "127.0.0.1:0", "s6") +
      line("0", "127.0.0.1:5007", "s7") + line("9223372036854775808", "127.0.0.1:5008", "s8") +
      line("9", "127.0.0.1:5009", ".s9") + line("10", "127.0.0.1:5010", "s\u200b") +
      "12 [::1]:5012 bad s12\n" + line("14", "[::1]:5014", "s14") + "15 [::1]:50";
  const auto read = parseState(text);
  REQUIRE(read.ok());
  std::vector<std::string> ids;
  for (const auto& member : read->state.members) ids.push_back(member.id.text());
  CHECK(ids == std::vector<std::string>{"s1", "s3", "s14"});
  CHECK(read->state.nextOrder == JoinOrder{15});  // above all that are there
  CHECK(read->damagedLines == 11);
  REQUIRE(read->problems.size() == 11);
  // Without its key, which the log is not for.
  CHECK(read->problems[0] == "line 3: this is no peer: \"2 [x:5002 (key) s2\"");
  CHECK(read->problems[2].find("order") != std::string::npos);
  CHECK(read->problems[3].find("id is there twice") != std::string::npos);
}

TEST_CASE("the next order goes on in the prefix of the last peer, or is none if all are used up") {
  const auto nextBehind = [](JoinOrder order) {
    const auto read =
        parseState(kHeader + line(std::to_string(number(order)), "127.0.0.1:5001", "s1"));
    REQUIRE(read.ok());
    REQUIRE(read->problems.empty());
    return read->state.nextOrder;
  };
  const Epoch prefix{3, ServerNumber{9}};
  CHECK(nextBehind(*cluster::orderOf({prefix, 7})) == *cluster::orderOf({prefix, 8}));
  const auto used = nextBehind(*cluster::orderOf({prefix, cluster::kRunningLast}));
  CHECK(used == *cluster::orderOf({{4, kNoServer}, 1}));
  CHECK(nextBehind(JoinOrder{limits::kJoinOrder}) == cluster::kNoOrderLeft);

  State state;
  state.network.bytes[0] = 1;
  state.nextOrder = cluster::kNoOrderLeft;
  CHECK(parseState(formatState(state))->state == state);
}

TEST_CASE("a completely damaged file is reported within a bound, and printed safely") {
  const auto read = parseState(kHeader + std::string(1000, '\n') + "\x1b[31m");
  REQUIRE(read.ok());
  CHECK(read->damagedLines == 1001);
  CHECK(read->problems.size() == limits::kDamagedLinesTold);
  const auto garbage = parseState(kHeader + "\x1b[31m" + std::string(1000, 'x'));
  CHECK(garbage->problems.at(0).find('\x1b') == std::string::npos);
  CHECK(garbage->problems.at(0).size() < 300);
}

TEST_CASE("a file without its first line is an error, and is left unchanged") {
  const std::vector<std::string> headers = {"",
                                            "\n",
                                            "espalier-network",
                                            "espalier-network 1 " + kNetwork + "\n",
                                            "espalier-network 1 " + kNetwork + " 0\n",
                                            "espalier-network 1 " + kNetwork + " 1 2\n",
                                            "espalier-network 1 xyz 1\n",
                                            "espalier-network 1 " + std::string(32, '0') + " 1\n",
                                            line("1", "127.0.0.1:1", "s1")};
  for (const auto& header : headers) {
    CAPTURE(header);
    CHECK_FALSE(parseState(header).ok());
    const File file(header);
    const auto loaded = loadState(file.path());
    REQUIRE_FALSE(loaded.ok());
    CHECK(loaded.error().code == ErrorCode::configuration);
    CHECK(loaded.error().message.find("line 1: ") != std::string::npos);
    CHECK(file.text() == header);
  }
}

TEST_CASE("a file of a newer version is refused and left as it is") {
  const std::string text = "espalier-network 2 something else\n";
  const File file(text);
  const auto loaded = loadState(file.path());
  REQUIRE_FALSE(loaded.ok());
  CHECK(loaded.error().code == ErrorCode::configuration);
  CHECK(loaded.error().message.find("newer version") != std::string::npos);
  CHECK(loaded.error().message.find("move it away") == std::string::npos);
  CHECK(file.text() == text);
}

TEST_CASE("a damaged file is kept beside the one that is written next, each time") {
  const std::string first = kHeader + line("1", "127.0.0.1:5001", "s1") + "damaged\n";
  const File file(first);
  auto loaded = loadState(file.path());
  REQUIRE(loaded.ok());
  REQUIRE(loaded->has_value());
  CHECK((*loaded)->members.size() == 1);
  CHECK(file.text(".damaged") == first);
  REQUIRE(replaceFile(file.path(), first + "again\n", Durability::soft, kPrivate).ok());
  REQUIRE(loadState(file.path()).ok());
  CHECK(file.text(".damaged") == first);
  CHECK(file.text(".damaged-2") == first + "again\n");
  for (int i = 0; i < 20; ++i) REQUIRE(loadState(file.path()).ok());
  CHECK(file.text(".damaged") == first);
  CHECK(file.text(".damaged-9") == first + "again\n");
  CHECK(file.text(".damaged-10") == "nothing");
}

TEST_CASE("a missing file is a new network, not an error") {
  const File file(kHeader);
  CHECK_FALSE(loadState(file.path() + "-none")->has_value());
  CHECK(loadState(file.path())->has_value());
}
