// Each end of a transfer against a hostile other end, and against the sudden death of its process.
#include <doctest/doctest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <sstream>

#include "tests/unit/transfer_fixture.h"
#include "tests/unit/transfer_scripts.h"

using namespace espalier;
using namespace espalier::transfer;
using namespace espalier::transfer::test;
using namespace std::chrono_literals;

extern char** environ;

namespace {

constexpr std::size_t kChunk = limits::kChunkBytesMin;
const Timeouts kShort{2s, 500ms};

}  // namespace

TEST_CASE("a holder that breaks the protocol is left at once, and not dialled again") {
  HolderPeer s1("s1");
  const auto content = randomContent(3 * kChunk, 1);
  const auto info = s1.share.add("f", content);
  const auto list = wire::ChunkList{info.size, kChunk, 0, hashesOf(content).chunks, "f"};
  const std::string listFrame = framed(wire::encode(wire::TransferAnswer(list)));
  auto shortList = list;
  shortList.hashes.pop_back();
  auto otherSize = list;
  otherSize.size -= 1;
  const auto answer = [](const wire::TransferAnswer& one) { return framed(wire::encode(one)); };
  const std::vector<std::string> scripts{
      listFrame + answer(wire::ChunkHeader{2, 1}) + "x",
      listFrame + answer(wire::ChunkHeader{17, kChunk}) + std::string(kChunk, 'x'),
      listFrame + answer(wire::ChunkHeader{0, kChunk}) + std::string(kChunk, 'x'),
      listFrame + listFrame,
      listFrame + std::string("\xff\xff\xff\xff", 4),
      listFrame + framed("garbage"),
      listFrame + answer(wire::FileList{}),
      answer(otherSize),
      answer(shortList) + answer(shortList),
      answer(wire::ChunkHeader{0, kChunk}),
      framed(""),
      std::string("\x7f\xff\xff\xff", 4),
  };
  for (std::size_t i = 0; i < scripts.size(); ++i) {
    CAPTURE(i);
    const ScriptedHolder bad(scripts[i]);
    const Asker asker;
    const auto result = asker.fetch(info, {bad.holder()});
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code == ErrorCode::protocol);
    CHECK(bad.connections() == 1);
    const auto mixed = asker.fetch(info, {bad.holder(), s1.holder()});
    REQUIRE(mixed.ok());
    CHECK(readFile(asker.downloads / "f") == content);
  }
}

TEST_CASE("a holder that refuses the connection is quoted") {
  const ScriptedHolder bad(
      framed(wire::encode(wire::Failure{ErrorCode::refused, "not for you\x1b[31m"})), false);
  const Asker asker;
  const auto info = wire::FileEntry{hashesOf("x").root, 1, "f"};
  const auto result = asker.fetch(info, {bad.holder()});
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::refused);
  CHECK(result.error().message.find('\x1b') == std::string::npos);
}

TEST_CASE("an asker that sends rubbish is dropped, and others are served") {
  HolderPeer s1("s1", {.slots = 2});
  const auto info = s1.share.add("f", randomContent(kChunk + 1, 2));
  const auto request = [](const wire::TransferRequest& one) { return framed(wire::encode(one)); };
  const std::vector<std::string> scripts{
      std::string("\xff\xff\xff\xff", 4),
      framed("garbage"),
      framed(""),
      request(wire::ChunkRequest{info.root, kChunk, 2, 1}),
      request(wire::ChunkRequest{info.root, kChunk, 1u << 23, 1024}),
      request(wire::ChunkRequest{FileRoot{}, kChunk, 0, 1}),
      request(wire::ChunkListRequest{FileRoot{}}),
      std::string("\0\0", 2),
  };
  for (std::size_t i = 0; i < scripts.size(); ++i) {
    CAPTURE(i);
    auto stream = connected(s1.holder().endpoint, helloFrame() + scripts[i]);
    stream.endWriting();
    std::array<std::byte, 65536> buffer;
    while (stream.read(buffer)) {
    }
  }
  const Asker asker;
  CHECK(asker.fetch(info, {s1.holder()}).ok());
}

TEST_CASE("chunks may be asked for in any size that is allowed") {
  HolderPeer s1("s1");
  const auto content = randomContent(kChunk + 100, 3);
  const auto info = s1.share.add("f", content);
  net::Interrupter interrupter;
  HolderConnection holder(s1.holder().endpoint, kShort, interrupter);
  holder.queue(wire::ChunkRequest{info.root, limits::kBlockBytes, 64, 1});
  holder.queue(wire::ChunkRequest{info.root, limits::kChunkBytesMax, 0, 1});
  REQUIRE(holder.open().ok());
  auto answer = holder.receive();
  REQUIRE(answer.ok());
  CHECK(*answer == wire::TransferAnswer(wire::ChunkHeader{64, 100}));
  std::string last(100, ' ');
  REQUIRE(holder.receiveBytes(std::as_writable_bytes(std::span(last))).ok());
  CHECK(last == content.substr(kChunk));
  answer = holder.receive();
  REQUIRE(answer.ok());
  CHECK(*answer == wire::TransferAnswer(wire::ChunkHeader{0, kChunk + 100}));
}

TEST_CASE(
    "a holder that cuts a request before it began, or at another chunk, is given up at once") {
  HolderPeer s1("s1");
  const auto content = randomContent(8 * kChunk, 1);
  const auto info = s1.share.add("f", content);
  const auto answer = [](const wire::TransferAnswer& one) { return framed(wire::encode(one)); };
  const std::string list =
      answer(wire::ChunkList{info.size, kChunk, 0, hashesOf(content).chunks, "f"});
  const std::string first = answer(wire::ChunkHeader{0, kChunk}) + content.substr(0, kChunk);
  for (const auto& script :
       {list + answer(wire::ChunksCut{0}), list + first + answer(wire::ChunksCut{0}),
        list + first + answer(wire::ChunksCut{2}),
        list + first + answer(wire::ChunksCut{1}) + answer(wire::ChunksCut{1})}) {
    const ScriptedHolder bad(script);
    const Asker asker;
    const auto result = asker.fetch(info, {bad.holder()});
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code == ErrorCode::protocol);
    CHECK(bad.connections() == 1);
  }
}

TEST_CASE("a request with a time limit is cut when the time is over, and the next one answered") {
  HolderPeer s1("s1");
  const auto content = randomContent(64 * kChunk, 3);
  const auto info = s1.share.add("f", content);
  net::Interrupter interrupter;
  HolderConnection holder(s1.holder().endpoint, kShort, interrupter);
  holder.queue(wire::ChunkRequest{info.root, kChunk, 0, 64, 1ms});
  holder.queue(wire::ChunkRequest{info.root, kChunk, 63, 1, 1ms});
  REQUIRE(holder.open().ok());
  std::string data(kChunk, ' ');
  std::uint64_t next = 0;
  auto answer = holder.receive();
  while (answer.ok() && std::holds_alternative<wire::ChunkHeader>(*answer)) {
    CHECK(std::get<wire::ChunkHeader>(*answer).chunk == next);
    REQUIRE(holder.receiveBytes(std::as_writable_bytes(std::span(data))).ok());
    CHECK(content.compare(next * kChunk, kChunk, data) == 0);
    ++next;
    answer = holder.receive();
  }
  REQUIRE(answer.ok());
  CHECK(*answer == wire::TransferAnswer(wire::ChunksCut{next}));
  CHECK(next >= 1);
  answer = holder.receive();
  REQUIRE(answer.ok());
  CHECK(*answer == wire::TransferAnswer(wire::ChunkHeader{63, kChunk}));
}

TEST_CASE("a server stops while askers take nothing, and ask for nothing") {
  HolderPeer s1("s1", {.slots = 2, .queue = 8, .silence = 60s});
  const auto info = s1.share.add("f", randomContent(64 * kChunk, 4));
  const auto takesNothing =
      connected(s1.holder().endpoint,
                helloFrame() + framed(wire::encode(wire::ChunkRequest{info.root, kChunk, 0, 64})));
  const auto asksNothing = connected(s1.holder().endpoint, helloFrame());
  while (s1.status().serving < 1) std::this_thread::yield();
  s1.stop();  // a stop that waited for them would take the minute
  CHECK(s1.status().serving == 0);
}

// The file that the helper makes once it has fetched something.
constexpr const char* kFetchedSome = "fetched some";

// Run by the test below in a process of its own.
TEST_CASE("helper: fetches what the environment says" * doctest::skip()) {
  const char* order = std::getenv("ESPALIER_TEST_FETCH");
  if (!order) return;
  std::istringstream words(order);
  std::string root;
  FetchRequest request;
  Endpoint endpoint{"127.0.0.1", 0};
  words >> endpoint.port >> root >> request.size >> request.folder;
  request.root = *parseFileRoot(root);
  request.saveAs = "big";
  request.holders = {{*PeerId::parse("s1"), endpoint}};
  DownloaderOptions options;
  options.stateFolder = request.folder + "/.espalier";
  const auto progress = [&](const FetchProgress& told) {
    if (told.heldBytes > told.resumedBytes) writeFile(fs::path(request.folder) / kFetchedSome, "");
  };
  CHECK(Downloader(options).fetch(request, {}, progress).ok());
}

TEST_CASE("after kill -9 at any moment a fetch goes on, and what arrives is what was shared") {
  HolderPeer s1("s1");
  constexpr std::size_t kChunks = 96;
  const auto content = randomContent(kChunks * kChunk, 5);
  const auto info = s1.share.add("big", content);
  const Asker asker;
  std::string name = "helper";
  std::string filter = "--test-case=helper*";
  std::string noSkip = "--no-skip";
  std::array<char*, 4> arguments{name.data(), filter.data(), noSkip.data(), nullptr};
  constexpr int kRounds = 5;
  constexpr std::size_t kRoundChunks = 12;
  static_assert(kRounds * (kRoundChunks + 1) < kChunks, "no fetch ends before it is killed");
  for (int round = 0; round < kRounds; ++round) {
    const Line line(s1.holder().endpoint, kRoundChunks * kChunk + kChunk / 2, Line::Then::wait);
    std::string order = "ESPALIER_TEST_FETCH=" + std::to_string(line.endpoint().port) + " " +
                        toHex(info.root.view()) + " " + std::to_string(info.size) + " " +
                        asker.downloads.text();
    std::vector<char*> environment;
    for (char** one = environ; *one; ++one) environment.push_back(*one);
    environment.push_back(order.data());
    environment.push_back(nullptr);
    const auto goal = s1.status().chunks + kRoundChunks;
    pid_t child = 0;
    REQUIRE(::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments.data(),
                          environment.data()) == 0);
    int status = 0;
    const bool isLast = round == kRounds - 1;
    while (s1.status().chunks < goal || (isLast && !fs::exists(asker.downloads / kFetchedSome))) {
      if (::waitpid(child, &status, WNOHANG) != 0) FAIL("the fetch ended before it was killed");
      std::this_thread::yield();
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    CHECK_FALSE(fs::exists(asker.downloads / "big"));
  }
  while (s1.status().serving > 0) std::this_thread::yield();
  const auto before = s1.status().chunks;
  const auto result = asker.fetch(info, {s1.holder()});
  REQUIRE_MESSAGE(result.ok(), result.error().message);
  CHECK(readFile(asker.downloads / "big") == content);
  CHECK(result->resumedBytes > 0);
  CHECK(s1.status().chunks - before == kChunks - result->resumedBytes / kChunk);
}
