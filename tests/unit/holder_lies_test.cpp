// A fetch beside holders that keep it waiting, and a list of one that never ends.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <deque>

#include "peer/transfer/shared_list.h"
#include "tests/unit/transfer_scripts.h"

using namespace espalier;
using namespace espalier::transfer;
using namespace espalier::transfer::test;

namespace {

constexpr std::size_t kChunk = limits::kChunkBytesMin;

std::string answer(const wire::TransferAnswer& one) {
  return framed(wire::encode(one));
}

// Says Welcome and `first`, then `again` every millisecond, whatever it is asked.
class Repeating {
 public:
  Repeating(const std::string& first, std::string again)
      : first_(framed(wire::encode(wire::Welcome{})) + first),
        again_(std::move(again)),
        listener_([this](FileDescriptor asker) {
          threads_.emplace_back([this, asker = std::move(asker)](std::stop_token stop) mutable {
            const net::Interrupter never;
            net::BlockingStream stream(net::TcpStream::adopt(std::move(asker)), 10s, never);
            if (!stream.write(first_)) return;
            std::array<std::byte, 4096> asked;
            while (!stop.stop_requested() && stream.write(again_)) {
              (void)stream.readSome(asked, 1ms);
            }
          });
        }) {}
  ~Repeating() { listener_.stop(); }
  Holder holder(const std::string& id) const { return {*PeerId::parse(id), listener_.endpoint()}; }
  int connections() const { return listener_.connections; }

 private:
  const std::string first_;
  const std::string again_;
  std::vector<std::jthread> threads_;
  Listener listener_;
};

}  // namespace

TEST_CASE("a holder that only lets its asker wait is given up, and another one is asked") {
  HolderPeer s1("s1");
  const auto content = randomContent(3 * kChunk, 1);
  const auto info = s1.share.add("f", content);
  const Repeating liar({}, answer(wire::Waiting{3}));
  Timeouts timeouts;
  timeouts.waiting = 50ms;
  const Asker asker(timeouts);
  const auto alone = asker.fetch(info, {liar.holder("liar")});
  REQUIRE_FALSE(alone.ok());
  CHECK(alone.error() == Error{ErrorCode::timeout, "liar: it has nothing to send"});
  const auto result = asker.fetch(info, {liar.holder("liar"), s1.holder()});
  REQUIRE(result.ok());
  CHECK(readFile(result->path) == content);
}

TEST_CASE("a holder that sends next to nothing is given up, by the time that it is waited for") {
  HolderPeer s1("s1");
  const auto content = randomContent(3 * kChunk, 2);
  const auto info = s1.share.add("f", content);
  const auto list = answer(wire::ChunkList{info.size, kChunk, 0, hashesOf(content).chunks, "f"});
  const Repeating liar(list + answer(wire::ChunkHeader{0, kChunk}), "x");
  Timeouts timeouts;
  timeouts.rateLeast = 100'000;
  timeouts.rateWindow = 50ms;
  const Asker asker(timeouts);
  const auto alone = asker.fetch(info, {liar.holder("liar")});
  REQUIRE_FALSE(alone.ok());
  CHECK(alone.error().code == ErrorCode::timeout);
  CHECK(alone.error().message.find("bytes a second") != std::string::npos);
  // Beside another holder it is not even waited for.
  const Asker other;
  const auto result = other.fetch(info, {liar.holder("liar"), s1.holder()});
  REQUIRE(result.ok());
  CHECK(readFile(result->path) == content);
}

TEST_CASE("as many slow holders as threads do not keep a fast one from being asked") {
  HolderPeer s1("s1");
  const auto content = randomContent(3 * kChunk, 3);
  const auto info = s1.share.add("f", content);
  std::deque<Repeating> slow;
  std::vector<Holder> holders;
  for (std::size_t i = 0; i < limits::kFetchSources; ++i) {
    slow.emplace_back(std::string(), answer(wire::Waiting{3}));
    holders.push_back(slow.back().holder("x" + std::to_string(i)));
  }
  holders.push_back(s1.holder());
  const Asker asker;
  const auto result = asker.fetch(info, holders);
  REQUIRE_MESSAGE(result.ok(), result.error().message);
  CHECK(readFile(result->path) == content);
}

TEST_CASE("one endpoint is dialled once at a time, whatever ids are said to be there") {
  HolderPeer s1("s1");
  const auto content = randomContent(3 * kChunk, 4);
  const auto info = s1.share.add("f", content);
  const Repeating chosen({}, answer(wire::Waiting{3}));
  std::vector<Holder> holders;
  for (int i = 0; i < 100; ++i) holders.push_back(chosen.holder("x" + std::to_string(i)));
  holders.push_back(s1.holder());
  const Asker asker;
  auto request = asker.request(info, holders);
  request.otherSizes = {{info.size + 1, holders}};
  const auto result = asker.fetch(request);
  REQUIRE_MESSAGE(result.ok(), result.error().message);
  CHECK(readFile(result->path) == content);
  CHECK(chosen.connections() <= 3);  // for the size, and for each size that was tried
}

TEST_CASE("a list that repeats names, or has empty pages, is not read without end") {
  net::Interrupter interrupter;
  const wire::FileEntry entry{hashesOf("x").root, 1, "a"};
  for (const auto& page : {wire::FileList{{}, true, false, 0}, {{entry}, true, false, 0}}) {
    const Repeating liar({}, answer(page));
    const auto listed = listShared(liar.holder("liar"), {}, interrupter);
    REQUIRE_FALSE(listed.ok());
    CHECK(listed.error().code == ErrorCode::protocol);
  }
}

TEST_CASE("names that no shared file can have are left out of a list") {
  net::Interrupter interrupter;
  wire::FileList page{{}, false, false, 0};
  for (const auto* name : {"\x1b[2J", "../x", "/etc/x", "a//b", "b", "c\xff"}) {
    page.files.push_back({hashesOf("x").root, 1, name});
  }
  std::sort(page.files.begin(), page.files.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  const ScriptedHolder liar(answer(page));
  const auto listed = listShared(liar.holder(), {}, interrupter);
  REQUIRE_MESSAGE(listed.ok(), listed.error().message);
  REQUIRE(listed->files.size() == 1);
  CHECK(listed->files.front().name == "b");
}

TEST_CASE("a holder of a part that others call a holder of all is asked what it has") {
  HolderPeer s1("s1");
  const auto content = randomContent(3 * kChunk, 5);
  const auto info = s1.share.add("f", content);
  const auto list = answer(wire::ChunkList{info.size, kChunk, 0, hashesOf(content).chunks, "f"});
  const ScriptedHolder part(
      list + answer(wire::TransferFailure{wire::TransferProblem::badRequest, "not here yet"}));
  const Asker asker;
  const auto result = asker.fetch(info, {part.holder()});
  REQUIRE_FALSE(result.ok());
  CHECK(part.connections() == 2);
}
