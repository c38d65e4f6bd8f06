// PushReceiver with servers on real sockets: stripes, and sources that break off, lie, are
// replaced, or do not have the chunks yet.
#include "peer/transfer/push_receiver.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <condition_variable>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "peer/transfer/part_file.h"
#include "peer/transfer/push_files.h"
#include "peer/transfer/push_server.h"
#include "tests/unit/transfer_scripts.h"

using namespace espalier;
using namespace espalier::transfer;
using namespace espalier::transfer::test;
using namespace std::chrono_literals;
using peer::PushTrouble;

namespace {

constexpr auto kPatience = 20s;
constexpr std::size_t kChunk = limits::kPushChunkBytes;

// Gives the chunks of pushes, as they come.
class Host {
 public:
  explicit Host(std::string id, PushServerOptions options = {})
      : id_(*PeerId::parse(id)),
        server_(store, std::move(options)),
        listener_([this](FileDescriptor socket) {
          readHello(std::move(socket), server_, wire::Purpose::push);
        }) {}
  ~Host() {
    listener_.stop();
    server_.stop();
  }
  Holder holder() const { return {id_, listener_.endpoint()}; }
  std::uint64_t given() const { return server_.bytes(); }

  PartialFiles store;

 private:
  PeerId id_;
  PushServer server_;
  Listener listener_;
};

// What a sender's folder has, given by any number of hosts.
class Sent {
 public:
  void add(const std::string& name, const std::string& content) {
    fs::create_directories((folder_ / "push" / name).parent_path());
    writeFile(folder_ / "push" / name, content);
  }
  void add(const std::string& name, std::size_t bytes) { add(name, randomContent(bytes, bytes)); }
  void prepare() {
    auto done = preparePush({(folder_ / "push").string()}, {}, {});
    REQUIRE(done.ok());
    prepared_ = std::move(*done);
  }
  void giveBy(Host& host) {
    for (const auto& file : prepared_.opened) host.store.put(file);
  }
  // The first file, with one wrong byte.
  void giveDamagedBy(Host& host, std::size_t offset) {
    const auto& whole = prepared_.opened.front();
    std::string content = readFile(folder_ / whole->name());
    content[offset] = static_cast<char>(content[offset] ^ 1);
    writeFile(folder_ / "damaged", content);
    FileDescriptor file(::open((folder_ / "damaged").c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(file);
    auto damaged = std::make_shared<PartialFile>(whole->root(), whole->size(), whole->name());
    damaged->begin(whole->plan(), std::move(file));
    damaged->finish();
    host.store.put(damaged);
  }
  const std::vector<wire::PushFile>& files() const { return prepared_.files; }
  std::uint64_t bytes() const { return prepared_.bytes; }
  // Of the first file.
  const std::vector<Digest>& hashes() const { return prepared_.opened.front()->plan().hashes; }
  bool isIn(const TemporaryFolder& downloads) const {
    return std::all_of(files().begin(), files().end(), [&](const auto& file) {
      return readFile(downloads / file.name) == readFile(folder_ / file.name);
    });
  }

 private:
  TemporaryFolder folder_;
  PreparedPush prepared_;
};

// A peer that receives, serves what it has, and records its events.
class Taker {
 public:
  explicit Taker(const Sent& sent, const std::string& id = "taker") : host(id), sent_(sent) {}

  void begin(PushReceiverOptions options = {}) {
    options.work = {downloads.text(), downloads.text() + "/.espalier", {}};
    PushEvents events;
    events.sourceFailed = [this](std::size_t stripe, const PeerId&, PushTrouble trouble,
                                 const Error&) {
      tell([&] { failures.emplace_back(stripe, trouble); });
    };
    events.completed = [this] { tell([&] { completed_ = true; }); };
    events.failed = [this](const Error& why) { tell([&] { failed_ = why.message; }); };
    receiver = std::make_unique<PushReceiver>(sent_.files(), std::move(options), host.store,
                                              std::move(events));
  }
  void takeFrom(std::size_t stripe, std::size_t stripes, const Holder& from) {
    receiver->takeFrom(stripe, stripes, from, kPatience);
  }
  template <typename Condition>
  bool await(Condition&& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, condition);
  }
  bool completes() {
    return await([this] { return completed_ || failed_; }) && completed_;
  }
  std::string failure() {
    await([this] { return completed_ || failed_; });
    return failed_.value_or("");
  }

  TemporaryFolder downloads;
  Host host;
  std::unique_ptr<PushReceiver> receiver;
  std::vector<std::pair<std::size_t, PushTrouble>> failures;

 private:
  template <typename Event>
  void tell(Event&& event) {
    const std::lock_guard lock(mutex_);
    CHECK_FALSE((completed_ || failed_));
    event();
    changed_.notify_all();
  }
  const Sent& sent_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool completed_ = false;
  std::optional<std::string> failed_;
};

}  // namespace

TEST_CASE("each stripe comes from another source, and both give about a half") {
  Sent sent;
  sent.add("large", 40 * kChunk + 17);
  for (int i = 0; i < 100; ++i) sent.add("small/" + std::to_string(i), 1000u + i);
  sent.add("empty", "");
  sent.prepare();
  Host one("one"), other("other");
  sent.giveBy(one);
  sent.giveBy(other);
  Taker taker(sent);
  taker.begin();
  taker.takeFrom(0, 2, one.holder());
  taker.takeFrom(1, 2, other.holder());
  REQUIRE(taker.completes());
  CHECK(sent.isIn(taker.downloads));
  CHECK(taker.receiver->receivedBytes() == sent.bytes());
  CHECK(one.given() + other.given() == sent.bytes());
  CHECK(one.given() > 20 * kChunk - 1);
  CHECK(other.given() > 20 * kChunk - 1);
}

TEST_CASE("askers that wait for a chunk which never comes hold up no other taker") {
  Sent sent;
  sent.add("file", 20 * kChunk);
  sent.prepare();
  Host host("host", {.slots = 2, .waiting = 10ms});
  sent.giveBy(host);
  FileRoot never;
  never.bytes.fill(7);
  host.store.put(std::make_shared<PartialFile>(never, 1, "never"));
  wire::Hello hello;
  hello.purpose = wire::Purpose::push;
  const auto question = framed(wire::encode(hello)) +
                        framed(wire::encode(wire::TransferRequest(wire::ChunkListRequest{never})));
  const auto sign = framed(wire::encode(wire::TransferAnswer(wire::Waiting{1})));
  std::vector<net::BlockingStream> waiting;
  for (int i = 0; i < 8; ++i) {
    waiting.push_back(connected(host.holder().endpoint, question));
    std::string signs(50 * sign.size(), ' ');  // after the Welcome
    REQUIRE(waiting.back().readAll(std::as_writable_bytes(std::span(signs))).ok());
  }
  Taker taker(sent);
  taker.begin();
  taker.takeFrom(0, 2, host.holder());
  taker.takeFrom(1, 2, host.holder());
  REQUIRE(taker.completes());
  CHECK(taker.failures.empty());
  CHECK(sent.isIn(taker.downloads));
}

TEST_CASE("two takers that take missing chunks from each other both get everything") {
  Sent sent;
  sent.add("file", 64 * kChunk);
  sent.prepare();
  Host sender("sender");
  sent.giveBy(sender);
  Taker one(sent, "one"), other(sent, "other");
  one.begin();
  other.begin();
  one.takeFrom(1, 2, other.host.holder());
  other.takeFrom(0, 2, one.host.holder());
  one.takeFrom(0, 2, sender.holder());
  other.takeFrom(1, 2, sender.holder());
  for (auto* taker : {&one, &other}) {
    REQUIRE(taker->completes());
    CHECK(sent.isIn(taker->downloads));
    CHECK(taker->failures.empty());
  }
  CHECK(sender.given() == sent.bytes());
}

TEST_CASE("when a source breaks off the next one continues with the missing chunks") {
  Sent sent;
  sent.add("file", 64 * kChunk);
  sent.prepare();
  Host one("one"), other("other"), third("third");
  for (auto* host : {&one, &other, &third}) sent.giveBy(*host);
  Line line(one.holder().endpoint, 10 * kChunk, Line::Then::close);
  Taker taker(sent);
  taker.begin();
  taker.takeFrom(0, 2, {one.holder().id, line.endpoint()});
  taker.takeFrom(1, 2, other.holder());
  REQUIRE(taker.await([&] { return !taker.failures.empty(); }));
  CHECK(taker.failures.front() == std::pair(std::size_t{0}, PushTrouble::unreachable));
  taker.takeFrom(0, 2, third.holder());
  REQUIRE(taker.completes());
  CHECK(sent.isIn(taker.downloads));
  CHECK(taker.receiver->receivedBytes() == sent.bytes());
}

TEST_CASE(
    "chunks that are dealt anew are asked for in their order, whatever source had them before") {
  Sent sent;
  sent.add("file", 40 * kChunk);
  sent.prepare();
  const TemporaryFolder downloads;
  PartialFiles store;
  PushWork work(sent.files(), {downloads.text(), downloads.text() + "/.espalier", {}}, store, {},
                [] {});
  const auto before = work.next(0);
  REQUIRE(before.ok());
  REQUIRE(before->has_value());
  CHECK((*before)->first == 0);
  CHECK((*before)->count == 40);
  CHECK_FALSE(*work.wants(0));
  CHECK(work.deal(2));
  CHECK_FALSE(work.deal(2));
  for (const std::uint64_t pair : {0u, 2u, 4u}) {
    std::set<std::uint64_t> asked;
    for (const std::size_t stripe : {0u, 1u}) {
      const auto request = work.next(stripe);
      REQUIRE(request.ok());
      REQUIRE(request->has_value());
      CHECK((*request)->count == 1);
      asked.insert((*request)->first);
    }
    CHECK(asked == std::set{pair, pair + 1});
    work.release(0, **before);  // too late: others were asked for these
  }
}

TEST_CASE(
    "when the stripes change under way, next to nothing is taken twice, and nothing is left out") {
  Sent sent;
  sent.add("file", 200 * kChunk);
  sent.prepare();
  Host one("one"), other("other");
  sent.giveBy(one);
  sent.giveBy(other);
  Line line(one.holder().endpoint, 20 * kChunk, Line::Then::stall);
  Taker taker(sent);
  taker.begin();
  taker.takeFrom(0, 1, {one.holder().id, line.endpoint()});
  while (taker.receiver->heldBytes() < 10 * kChunk) std::this_thread::yield();
  taker.takeFrom(0, 2, other.holder());
  taker.takeFrom(1, 2, one.holder());
  REQUIRE(taker.completes());
  CHECK(sent.isIn(taker.downloads));
  CHECK(taker.receiver->heldBytes() == sent.bytes());
  CHECK(taker.receiver->receivedBytes() <= sent.bytes() + 2 * kChunk);  // just coming
  CHECK(taker.failures.empty());
}

TEST_CASE("a source that lies is told, and nothing of it stays") {
  Sent sent;
  sent.add("file", 8 * kChunk);
  sent.prepare();
  Host honest("honest"), liar("liar");
  sent.giveBy(honest);
  sent.giveDamagedBy(liar, 3 * kChunk + 1);
  Taker taker(sent);
  taker.begin();
  taker.takeFrom(0, 1, liar.holder());
  REQUIRE(taker.await([&] { return !taker.failures.empty(); }));
  CHECK(taker.failures.front() == std::pair(std::size_t{0}, PushTrouble::lied));
  taker.takeFrom(0, 1, honest.holder());
  REQUIRE(taker.completes());
  CHECK(sent.isIn(taker.downloads));
  CHECK(taker.receiver->receivedBytes() == sent.bytes());
}

TEST_CASE("a source that trickles is given up, and the next one gives the rest") {
  Sent sent;
  sent.add("file", 8 * kChunk);
  sent.prepare();
  Host honest("honest");
  sent.giveBy(honest);
  std::promise<void> never;
  const auto over = never.get_future().share();
  std::vector<std::jthread> trickling;
  const Listener liar([&](FileDescriptor socket) {
    trickling.emplace_back([&, socket = std::move(socket)]() mutable {
      const net::Interrupter none;
      net::BlockingStream stream(net::TcpStream::adopt(std::move(socket)), 60s, none);
      (void)stream.write(framed(wire::encode(wire::Welcome{})) +
                         framed(wire::encode(wire::TransferAnswer(
                             wire::ChunkList{8 * kChunk, kChunk, 0, sent.hashes(), ""}))) +
                         framed(wire::encode(wire::TransferAnswer(wire::ChunkHeader{0, kChunk}))));
      while (stream.write("x")) over.wait_for(10ms);
    });
  });
  Taker taker(sent);
  PushReceiverOptions options;
  options.timeouts.rateLeast = 100'000;
  options.timeouts.rateWindow = 300ms;
  taker.begin(std::move(options));
  taker.takeFrom(0, 1, {*PeerId::parse("liar"), liar.endpoint()});
  REQUIRE(taker.await([&] { return !taker.failures.empty(); }));
  CHECK(taker.failures.front() == std::pair(std::size_t{0}, PushTrouble::useless));
  taker.takeFrom(0, 1, honest.holder());
  REQUIRE(taker.completes());
  CHECK(sent.isIn(taker.downloads));
}

TEST_CASE("a restarted taker takes only the chunks that it lacks") {
  Sent sent;
  sent.add("file", 64 * kChunk);
  sent.prepare();
  Host one("one");
  sent.giveBy(one);
  Taker taker(sent);
  {
    Line line(one.holder().endpoint, 20 * kChunk, Line::Then::stall);
    taker.begin();
    taker.takeFrom(0, 1, {one.holder().id, line.endpoint()});
    while (taker.receiver->heldBytes() < 15 * kChunk) std::this_thread::yield();
    taker.receiver.reset();
  }
  taker.begin();
  taker.takeFrom(0, 2, one.holder());
  taker.takeFrom(1, 2, one.holder());
  REQUIRE(taker.completes());
  CHECK(sent.isIn(taker.downloads));
  CHECK(taker.receiver->heldBytes() == sent.bytes());
  CHECK(taker.receiver->receivedBytes() <= sent.bytes() - 15 * kChunk);
}

TEST_CASE(
    "a file that an earlier fetch left complete on the disk is published without another byte") {
  Sent sent;
  sent.add("file", 64 * kChunk);
  sent.prepare();
  Host one("one");
  sent.giveBy(one);
  Taker taker(sent);
  const fs::path incoming = taker.downloads / ".espalier/incoming";
  fs::create_directories(incoming);
  const auto root = toHex(sent.files()[0].root.view());
  writeFile(incoming / (root + ".part"), randomContent(64 * kChunk, 64 * kChunk));
  taker.begin();
  taker.takeFrom(0, 1, one.holder());
  REQUIRE(taker.completes());
  CHECK(sent.isIn(taker.downloads));
}

TEST_CASE("a file that is there already is not taken, and one that differs is left alone") {
  Sent sent;
  sent.add("a", 3 * kChunk);
  sent.add("b", 100);
  sent.prepare();
  Taker same(sent);
  fs::create_directories(same.downloads / "push");
  writeFile(same.downloads / "push/a", randomContent(3 * kChunk, 3 * kChunk));
  writeFile(same.downloads / "push/b", randomContent(100, 100));
  same.begin();
  REQUIRE(same.completes());  // without a source
  CHECK(same.receiver->receivedBytes() == 0);

  Taker different(sent);
  fs::create_directories(different.downloads / "push");
  writeFile(different.downloads / "push/b", "mine");
  Host one("one");
  sent.giveBy(one);
  different.begin();
  different.takeFrom(0, 1, one.holder());
  CHECK(different.failure() == "push/b exists and differs");
  CHECK(readFile(different.downloads / "push/b") == "mine");
}

TEST_CASE("a file that another fetch has open is taken once that one has ended") {
  Sent sent;
  sent.add("file", 4 * kChunk);
  sent.prepare();
  Host one("one");
  sent.giveBy(one);
  Taker taker(sent);
  const fs::path incoming = taker.downloads / ".espalier/incoming";
  fs::create_directories(incoming);
  const auto folder = std::make_shared<PartFolder>(PartFolder{
      FileDescriptor(::open(incoming.c_str(), O_DIRECTORY | O_CLOEXEC)), incoming.string()});
  const auto& file = sent.files()[0];
  auto other = PartFile::open(folder, file.root, file.sizeBytes);
  REQUIRE(other.ok());
  taker.begin();
  taker.takeFrom(0, 1, one.holder());
  std::optional<PartFile> held(*std::move(other));
  CHECK(taker.receiver->heldBytes() == 0);
  held.reset();
  REQUIRE(taker.completes());
  CHECK(sent.isIn(taker.downloads));
  CHECK(taker.failures.empty());
}

TEST_CASE("a push that brings nothing leaves no parts") {
  Sent sent;
  for (int i = 0; i < 20; ++i) sent.add("small/" + std::to_string(i), 1000u + i);
  sent.add("large", 4 * kChunk);
  sent.prepare();
  Host empty("empty");
  Taker taker(sent);
  taker.begin();
  taker.takeFrom(0, 1, empty.holder());
  REQUIRE(taker.await([&] { return !taker.failures.empty(); }));
  taker.receiver.reset();
  const auto incoming = taker.downloads / ".espalier/incoming";
  CHECK((!fs::exists(incoming) || fs::is_empty(incoming)));
}

TEST_CASE("of several files with one root the one that is farthest is served") {
  Sent sent;
  sent.add("file", 4 * kChunk);
  sent.prepare();
  Host one("one");
  const auto& file = sent.files()[0];
  // A hostile offer named this root with another size before.
  const auto bogus = std::make_shared<PartialFile>(file.root, file.sizeBytes * 2, "bogus");
  one.store.put(bogus);
  sent.giveBy(one);
  Taker taker(sent);
  taker.begin();
  taker.takeFrom(0, 1, one.holder());
  REQUIRE(taker.completes());
  CHECK(sent.isIn(taker.downloads));
  CHECK(one.store.find(file.root) != bogus);
  one.store.remove(bogus);
  CHECK(one.store.find(file.root) != nullptr);
}
