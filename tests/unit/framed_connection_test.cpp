// A connection of frames: how it begins, what it delivers, how it ends.
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/net/blocking_stream.h"
#include "tests/unit/net_fixture.h"
#include "tests/unit/stream_pair.h"

using namespace espalier;
using namespace espalier::net;
using namespace espalier::net::test;
using namespace std::chrono_literals;

TEST_CASE("what a client dials and sends comes back from an echo") {
  Server server;
  server.frame = echo;
  Recorder client;
  std::string got;
  client.opened = [](FramedConnection& c) { c.send("one"); };
  client.frame = [&](FramedConnection& c, std::string_view payload) {
    got += payload;
    if (got == "one") return c.send("two");
    c.close({ErrorCode::failed, "done"});
  };
  server.stopOnceClosed();
  REQUIRE(server.loop->dial(ConnectionId{1}, server.address(), client).ok());
  server.loop->run();

  CHECK(got == "onetwo");
  CHECK(client.openedCount == 1);
  REQUIRE(client.ends.size() == 1);
  CHECK(client.ends[0].message == "done");
  REQUIRE(server.ends.size() == 1);
  CHECK(server.ends[0].message.ends_with("closed the connection"));
  CHECK(server.loop->connectionCount() == 0);
}

TEST_CASE("what is sent before the connection is up waits for it") {
  Server server;
  std::string got;
  server.frame = [&](FramedConnection&, std::string_view payload) {
    got += payload;
    if (got == "early") server.loop->stop();
  };
  Recorder client;
  const auto dialled = server.loop->dial(ConnectionId{1}, server.address(), client);
  REQUIRE(dialled.ok());
  (*dialled)->send("ear");
  (*dialled)->send("ly");
  server.loop->run();
  CHECK(got == "early");
}

TEST_CASE("a host name is refused on the loop") {
  Server server;
  const auto dialled = server.loop->dial(ConnectionId{1}, Endpoint{"localhost", 1}, server);
  REQUIRE_FALSE(dialled.ok());
  CHECK(dialled.error().code == ErrorCode::usage);
}

TEST_CASE("a refused connection is reported by onClosed, not from inside dial") {
  Server server;
  const Endpoint gone = server.address();
  server.listener.reset();
  server.stopOnceClosed();
  REQUIRE(server.loop->dial(ConnectionId{1}, gone, server).ok());
  CHECK(server.ends.empty());
  server.loop->run();
  REQUIRE(server.ends.size() == 1);
  CHECK(server.ends[0].code == ErrorCode::unavailable);
  CHECK(server.ends[0].message == "cannot connect to " + gone.text() + ": Connection refused");
  CHECK(server.openedCount == 0);
}

TEST_CASE("a connection that gets no answer times out") {
  // A backlog that is full: the kernel drops further SYNs.
  const int full = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_storage native;
  socklen_t length = Address::fromEndpoint(kAnyPort)->toNative(native);
  REQUIRE(::bind(full, reinterpret_cast<sockaddr*>(&native), length) == 0);
  REQUIRE(::listen(full, 0) == 0);
  ::getsockname(full, reinterpret_cast<sockaddr*>(&native), &length);
  const Endpoint at = Address::fromNative(native).endpoint();
  const RawClient occupant(at);

  Server server;
  server.stopOnceClosed();
  REQUIRE(server.loop->dial(ConnectionId{1}, at, server, 50ms).ok());
  server.loop->run();
  REQUIRE(server.ends.size() == 1);
  CHECK(server.ends[0].code == ErrorCode::timeout);
  CHECK(server.ends[0].message == "cannot connect to " + at.text() + ": no answer in 0.05 s");
  ::close(full);
}

TEST_CASE("a slow reader fills the queue, and its drain is told once") {
  Server server;
  const std::string piece(limits::kFrameBytes, 'x');
  constexpr std::size_t kPieces = 96;  // 6 MiB: more than the kernel's buffers, less than the limit
  bool congested = false;
  std::promise<void> full;
  server.opened = [&](FramedConnection& c) {
    for (std::size_t sent = 0; sent < kPieces; ++sent) c.send(piece);
    congested = c.isCongested();
    CHECK(c.queuedBytes() > limits::kQueueHighBytes);
    CHECK(server.drainedCount == 0);
    full.set_value();
  };
  server.drained = [&](FramedConnection& c) {
    CHECK(c.queuedBytes() < limits::kQueueLowBytes);
    CHECK_FALSE(c.isCongested());
  };
  server.stopOnceClosed();
  RawClient client(server.address(), 64 * 1024);
  std::size_t got = 0;
  std::thread reader([&] {
    full.get_future().wait();
    got = client.read(kPieces * (piece.size() + 4)).size();
    client.close();
  });
  server.loop->run();
  reader.join();
  CHECK(congested);
  CHECK(server.drainedCount == 1);
  CHECK(got == kPieces * (piece.size() + 4));
}

TEST_CASE("a reader that takes nothing at all loses its connection, not the others") {
  Server server;
  const std::string piece(limits::kFrameBytes, 'x');
  FramedConnection* victim = nullptr;
  server.opened = [&](FramedConnection& c) {
    if (victim != nullptr) return;
    victim = &c;
    for (std::size_t sent = 0; sent < 64 * limits::kQueueCloseBytes && c.isOpen();
         sent += piece.size()) {
      c.send(piece);
    }
  };
  server.stopOnceClosed();
  const RawClient greedy(server.address());
  const RawClient other(server.address());
  server.loop->run();
  REQUIRE(server.ends.size() == 1);
  CHECK(server.ends[0].code == ErrorCode::unavailable);
  CHECK(server.ends[0].message.find("reads too slowly") != std::string::npos);
  server.loop->post([&] { server.loop->stop(); });
  server.loop->run();
  CHECK(server.loop->connectionCount() == 1);
}

TEST_CASE("a paused connection delivers nothing, not even what was already read") {
  Server server;
  FramedConnection* connection = nullptr;
  std::string got;
  server.frame = [&](FramedConnection& c, std::string_view payload) {
    connection = &c;
    got += payload;
    if (payload == "1") {
      c.pauseReading();
      // Rounds go by: whatever is readable would come.
      server.loop->post([&] { server.loop->stop(); });
    }
    if (payload == "3") server.loop->stop();
  };
  const RawClient client(server.address());
  client.write(framed("1") + framed("2"));
  server.loop->run();
  client.write(framed("3"));
  for (int round = 0; round < 10; ++round) {
    server.loop->post([&] { server.loop->stop(); });
    server.loop->run();
  }
  CHECK(got == "1");
  connection->resumeReading();
  server.loop->run();
  CHECK(got == "123");
}

TEST_CASE("frames already read when the connection was paused come when it is resumed") {
  Server server;
  server.frame = [&](FramedConnection& c, std::string_view payload) {
    if (payload == "2") return server.loop->stop();
    c.pauseReading();
    server.loop->post([&] { c.resumeReading(); });
  };
  const RawClient client(server.address());
  client.write(framed("1") + framed("2"));
  server.loop->run();
  CHECK(server.frameCount == 2);
}

TEST_CASE("frames that came before the end are delivered before the end is told") {
  Server server;
  int expected = 0;
  server.frame = [&](FramedConnection&, std::string_view payload) {
    CHECK(payload == std::to_string(expected++));
    CHECK(server.ends.empty());
  };
  server.stopOnceClosed();
  RawClient client(server.address());
  std::string stream;
  for (int i = 0; i < 5 * limits::kFramesPerRound; ++i) stream += framed(std::to_string(i));
  client.write(stream);
  client.close();
  server.loop->run();
  CHECK(expected == 5 * limits::kFramesPerRound);
  CHECK(server.ends.size() == 1);
}

TEST_CASE("an end in the middle of a frame is told as that") {
  Server server;
  server.stopOnceClosed();
  RawClient client(server.address());
  client.write(framed("hello").substr(0, 6));
  client.close();
  server.loop->run();
  REQUIRE(server.ends.size() == 1);
  CHECK(server.ends[0].message.ends_with("closed the connection in the middle of a frame"));
}

TEST_CASE("a client that shuts down its sending side still gets the answers to what it sent") {
  Server server;
  server.frame = echo;
  server.stopOnceClosed();
  const RawClient client(server.address());
  client.write(framed("question"));
  client.finish();
  server.loop->run();
  CHECK(client.read(100) == framed("question"));
  CHECK(server.ends.size() == 1);
}

TEST_CASE("a reset ends a connection once, also a paused one") {
  for (const bool paused : {false, true}) {
    CAPTURE(paused);
    Server server;
    RawClient client(server.address());
    server.opened = [&](FramedConnection& c) {
      if (paused) c.pauseReading();
      client.reset();
    };
    server.stopOnceClosed();
    server.loop->run();
    REQUIRE(server.ends.size() == 1);
    CHECK(server.ends[0].message.ends_with("broke: Connection reset by peer"));
    server.loop->post([&] { server.loop->stop(); });
    server.loop->run();
    CHECK(server.ends.size() == 1);
  }
}

TEST_CASE("what came before a reset is delivered although nobody takes the answers") {
  Server server;
  constexpr int kFrames = 5 * limits::kFramesPerRound;
  RawClient client(server.address());
  std::string stream;
  for (int i = 0; i < kFrames; ++i) stream += framed("last words");
  client.write(stream);
  server.opened = [&](FramedConnection&) { client.reset(); };
  server.frame = echo;
  server.stopOnceClosed();
  server.loop->run();
  CHECK(server.frameCount == kFrames);
  CHECK(server.ends.size() == 1);
}

TEST_CASE("a hostile length closes that connection only") {
  Server server;
  server.frame = echo;
  server.stopOnceClosed();
  const RawClient good(server.address());
  const RawClient bad(server.address());
  bad.write(framed("fine") + "\xff\xff\xff\xff" + framed("never read"));
  server.loop->run();
  REQUIRE(server.ends.size() == 1);
  CHECK(server.ends[0].code == ErrorCode::protocol);
  CHECK(server.ends[0].message.find("sent a frame of 4294967295 bytes") != std::string::npos);
  CHECK(server.frameCount == 1);

  server.frame = [&](FramedConnection& c, std::string_view payload) {
    echo(c, payload);
    server.loop->stop();
  };
  good.write(framed("still here"));
  server.loop->run();
  CHECK(good.read(14) == framed("still here"));
}

TEST_CASE("a detached stream has what was read behind the frame, and what was sent has left") {
  Server server;
  std::unique_ptr<ByteStream> detached;
  server.frame = [&](FramedConnection& c, std::string_view payload) {
    CHECK(payload == "transfer");
    c.send("welcome");
    detached = c.detach();
    CHECK(payload == "transfer");
    server.loop->stop();
  };
  RawClient client(server.address());
  client.write(framed("transfer") + "raw bytes");
  server.loop->run();
  REQUIRE(detached != nullptr);
  CHECK(client.read(framed("welcome").size()) == framed("welcome"));
  CHECK(detached->pending() == 9);
  CHECK(server.loop->connectionCount() == 0);

  client.write("more");
  const Interrupter never;
  BlockingStream stream(std::move(detached), 10s, never);
  std::array<std::byte, 13> buffer;
  REQUIRE(stream.readAll(buffer).ok());
  CHECK(std::memcmp(buffer.data(), "raw bytesmore", buffer.size()) == 0);
  client.close();
  server.loop->post([&] { server.loop->stop(); });
  server.loop->run();
  CHECK(server.ends.empty());
}

TEST_CASE("handlers may close any connection from any callback, and each end is told once") {
  Server server;
  std::vector<FramedConnection*> open;
  server.opened = [&](FramedConnection& c) { open.push_back(&c); };
  server.frame = [&](FramedConnection& c, std::string_view) {
    // All of them have something to say in this round; only the first gets to.
    for (FramedConnection* one : open) one->close({ErrorCode::failed, "all out"});
    c.send("ignored");
    c.pauseReading();
    c.resumeReading();
    c.close({ErrorCode::failed, "twice"});
    c.closeAfterFlush({ErrorCode::failed, "three times"});
  };
  server.closed = [&](FramedConnection& c, const Error& why) {
    CHECK(why.message == "all out");
    c.send("ignored");
    c.close({ErrorCode::failed, "again"});
    if (server.ends.size() == 8) server.loop->stop();
  };
  std::vector<RawClient> clients;
  for (int i = 0; i < 8; ++i) clients.emplace_back(server.address());
  for (const auto& client : clients) client.write(framed("a") + framed("b"));
  server.loop->run();
  CHECK(server.frameCount == 1);
  CHECK(server.ends.size() == 8);
  for (const auto& [id, count] : server.endsOf) CHECK(count == 1);
}

TEST_CASE("closing after a flush lets a client that still talks read our last words") {
  Server server;
  const std::string piece(limits::kFrameBytes, 'x');
  server.frame = [&](FramedConnection& c, std::string_view) {
    for (int i = 0; i < 64; ++i) c.send(piece);
    c.closeAfterFlush({ErrorCode::refused, "that was all"});
    c.send("not this");
  };
  server.stopOnceClosed();
  RawClient client(server.address(), 64 * 1024);
  client.write(framed("ask"));
  std::size_t got = 0;
  std::thread reader([&] {
    // Its bytes are dropped. A plain close would answer them with a reset, and lose the rest.
    while (true) {
      const auto count = client.read(32 * 1024).size();
      got += count;
      if (count == 0) break;
      client.write(framed("and another thing"));
    }
    client.close();
  });
  server.loop->run();
  reader.join();
  CHECK(got == 64 * (piece.size() + 4));
  CHECK(server.frameCount == 1);
  REQUIRE(server.ends.size() == 1);
  CHECK(server.ends[0].message == "that was all");
}

TEST_CASE("an answer that is due closes the connection unless it is kept open") {
  Server server;
  server.opened = [&](FramedConnection& c) {
    c.closeAt(Clock::now() - 1ms, "it never said what it is for");
    if (server.openedCount == 2) c.keepOpen();
  };
  server.stopOnceClosed();
  const RawClient first(server.address());
  const RawClient second(server.address());
  server.loop->run();
  REQUIRE(server.ends.size() == 1);
  CHECK(server.ends[0].code == ErrorCode::timeout);
  CHECK(server.loop->connectionCount() == 1);
}

TEST_CASE("connections that are open when the loop goes are closed without being told") {
  Recorder orphan;
  std::optional<RawClient> client;
  {
    Server server;
    client.emplace(server.address());
    server.opened = [&](FramedConnection&) { server.loop->stop(); };
    server.loop->run();
    REQUIRE(server.loop->dial(ConnectionId{1}, server.address(), orphan).ok());
  }
  CHECK(orphan.ends.empty());
  CHECK(client->read(1).empty());
}

TEST_CASE("a stream that reads before it writes carries frames both ways, also those it buffered") {
  const auto loop = std::move(*EventLoop::create());
  auto [one, other] = streamPair();
  Recorder handler;
  std::string got;
  handler.frame = [&](FramedConnection& c, std::string_view payload) {
    got += payload;
    if (got == "pingpong") c.closeAfterFlush({ErrorCode::failed, "done"});
  };
  handler.closed = [&](FramedConnection&, const Error&) { loop->stop(); };
  auto connection =
      loop->adopt(ConnectionId{1}, std::make_unique<ShyStream>(std::move(one)), {}, handler);
  REQUIRE(connection.ok());
  (*connection)->send("hello");
  const Interrupter never;
  BlockingStream plain(std::move(other), 10s, never);
  std::string heard(1 + framed("hello").size(), ' ');
  std::jthread peer([&] {
    const auto all = std::as_writable_bytes(std::span(heard));
    CHECK(plain.readAll(all.first(1)).ok());
    CHECK(plain.write("!" + framed("ping") + framed("pong")).ok());
    CHECK(plain.readAll(all.subspan(1)).ok());
    plain.endWriting();
  });
  loop->run();
  peer.join();
  CHECK(got == "pingpong");
  CHECK(heard == "?" + framed("hello"));
  REQUIRE(handler.ends.size() == 1);
  CHECK(handler.ends[0].message == "done");
}

TEST_CASE("a connection is dialled by a name that is looked up meanwhile, and may be given up") {
  Server server;
  std::string got;
  server.frame = [&](FramedConnection&, std::string_view payload) {
    got += payload;
    server.loop->stop();
  };
  Recorder client;
  const auto port = server.address().port;
  Resolver resolver([](const std::string& host) -> Result<std::vector<Address>> {
    if (host == "nowhere") return Error{ErrorCode::unavailable, "no such name"};
    return std::vector{*Address::fromEndpoint({"127.0.0.2", 0}),
                       *Address::fromEndpoint({"127.0.0.1", 0})};
  });
  const auto dialName = [&](std::uint64_t id, const std::string& host) {
    return server.loop->dialName(ConnectionId{id}, {host, port}, NamedBy::user, client, 5s,
                                 resolver);
  };
  auto dialled = dialName(1, "twofold");
  REQUIRE(dialled.ok());
  CHECK_FALSE((*dialled)->isOpen());
  (*dialled)->send("early");
  (*dialName(3, "twofold"))->close({ErrorCode::failed, "given up"});
  REQUIRE(dialName(5, "nowhere").ok());
  server.loop->run();
  CHECK(got == "early");
  while (client.ends.size() < 2) {
    server.loop->post([&] { server.loop->stop(); });
    server.loop->run();
  }
  CHECK(client.openedCount == 1);
  CHECK(client.endsOf[ConnectionId{3}] == 1);
  CHECK(client.endsOf[ConnectionId{5}] == 1);
  CHECK(client.ends.back().message == "cannot find the host nowhere: no such name");
}
