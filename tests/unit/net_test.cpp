#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/SocketAddress.h>
#include <Poco/Net/StreamSocket.h>
#include <doctest/doctest.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "common/base/log.h"
#include "common/net/address.h"
#include "common/net/blocking_stream.h"
#include "common/net/event_loop.h"
#include "common/net/listener.h"

using namespace espalier;
using namespace espalier::net;
using namespace std::chrono_literals;

namespace {

const Endpoint kAnyPort{"127.0.0.1", 0};

std::string framed(std::string_view payload) {
  std::string bytes;
  wire::appendFrame(payload, bytes);
  return bytes;
}

// A handler made of functions, which records what it was told.
struct Recorder : ConnectionHandler, ListenerHandler {
  std::function<void(Connection&)> opened;
  std::function<void(Connection&, std::string_view)> frame;
  std::function<void(Connection&)> drained;
  std::function<void(Connection&, const Error&)> closed;
  std::uint64_t nextId = 2;
  int openedCount = 0;
  int frameCount = 0;
  int drainedCount = 0;
  std::vector<Error> ends;
  std::map<ConnectionId, int> endsOf;

  std::optional<Admission> onAccept(const Address&) override {
    const ConnectionId id{nextId};
    nextId += 2;
    return Admission{id, this};
  }
  void onOpened(Connection& connection) override {
    ++openedCount;
    if (opened) opened(connection);
  }
  void onFrame(Connection& connection, std::string_view payload) override {
    ++frameCount;
    if (frame) frame(connection, payload);
  }
  void onDrained(Connection& connection) override {
    ++drainedCount;
    if (drained) drained(connection);
  }
  void onClosed(Connection& connection, const Error& why) override {
    ends.push_back(why);
    ++endsOf[connection.id()];
    if (closed) closed(connection, why);
  }
};

// A client that is nothing but a socket, so that it can misbehave.
class RawClient {
 public:
  // `receiveBufferBytes`: what the kernel takes for a client that does not read; 0 lets it decide.
  explicit RawClient(const Endpoint& to, int receiveBufferBytes = 0)
      : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receiveBufferBytes != 0) {
      ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &receiveBufferBytes,
                   sizeof receiveBufferBytes);
    }
    sockaddr_storage native;
    const auto length = Address::fromEndpoint(to)->toNative(native);
    connected_ = ::connect(descriptor_, reinterpret_cast<sockaddr*>(&native), length) == 0;
  }
  ~RawClient() { close(); }
  RawClient(RawClient&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), connected_(other.connected_) {}

  bool connected() const { return connected_; }
  int descriptor() const { return descriptor_; }
  void write(std::string_view bytes) const {
    while (!bytes.empty()) {
      const auto count = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  std::string read(std::size_t size) const {
    std::string bytes(size, '\0');
    const auto count = ::recv(descriptor_, bytes.data(), size, MSG_WAITALL);
    bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    return bytes;
  }
  void finish() const { ::shutdown(descriptor_, SHUT_WR); }
  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }
  void reset() {
    const linger now{1, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }

 private:
  int descriptor_;
  bool connected_;
};

// A loop with one listener whose connections the recorder gets.
struct Server : Recorder {
  std::unique_ptr<EventLoop> loop;
  std::unique_ptr<Listener> listener;
  Server() : loop(std::move(*EventLoop::create())) {
    auto opening = Listener::open(*loop, kAnyPort, *this);
    REQUIRE(opening.ok());
    listener = std::move(*opening);
  }
  const Endpoint& address() const { return listener->localAddress(); }
  // The loop's end is decided by what happens on it, never by time.
  void stopOnceClosed() {
    closed = [this](Connection&, const Error&) { loop->stop(); };
  }
};

void echo(Connection& connection, std::string_view payload) {
  connection.send(payload);
}

}  // namespace

TEST_CASE("what a client dials and sends comes back from an echo") {
  Server server;
  server.frame = echo;
  Recorder client;
  std::string got;
  client.opened = [](Connection& c) { c.send("one"); };
  client.frame = [&](Connection& c, std::string_view payload) {
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
  server.frame = [&](Connection&, std::string_view payload) {
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

TEST_CASE("both ends know their addresses, and accepted sockets do not delay small segments") {
  Server server;
  Recorder client;
  Endpoint seenByServer;
  int noDelay = 0;
  server.opened = [&](Connection& c) {
    seenByServer = c.remoteAddress();
    CHECK(c.localAddress() == server.address());
    const auto detached = c.detach();
    REQUIRE(detached != nullptr);
    socklen_t length = sizeof noDelay;
    ::getsockopt(detached->descriptor(), IPPROTO_TCP, TCP_NODELAY, &noDelay, &length);
    server.loop->stop();
  };
  const auto dialled = server.loop->dial(ConnectionId{1}, server.address(), client);
  REQUIRE(dialled.ok());
  CHECK((*dialled)->remoteAddress() == server.address());
  const Endpoint own = (*dialled)->localAddress();
  server.loop->run();
  CHECK(seenByServer == own);
  CHECK(noDelay == 1);
}

TEST_CASE("a second listener on a port is refused with a sentence") {
  Server server;
  const auto second = Listener::open(*server.loop, server.address(), server);
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == ErrorCode::unavailable);
  CHECK(second.error().message ==
        "cannot listen on " + server.address().text() + ": the port is in use by another process");
}

TEST_CASE("an address of another machine is refused as one that no port helps") {
  Server server;
  const auto elsewhere = Listener::open(*server.loop, Endpoint{"192.0.2.1", 0}, server);
  REQUIRE_FALSE(elsewhere.ok());
  CHECK(elsewhere.error().code == ErrorCode::io);
  CHECK(elsewhere.error().message ==
        "cannot listen on 192.0.2.1:0: this machine has no such address");
}

TEST_CASE("a host name is refused on the loop") {
  Server server;
  const auto dialled = server.loop->dial(ConnectionId{1}, Endpoint{"localhost", 1}, server);
  REQUIRE_FALSE(dialled.ok());
  CHECK(dialled.error().code == ErrorCode::usage);
}

TEST_CASE("a refused connection is told through onClosed, not from inside dial") {
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
  server.opened = [&](Connection& c) {
    for (std::size_t sent = 0; sent < kPieces; ++sent) c.send(piece);
    congested = c.isCongested();
    CHECK(c.queuedBytes() > limits::kQueueHighBytes);
    CHECK(server.drainedCount == 0);
    full.set_value();
  };
  server.drained = [&](Connection& c) {
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
  Connection* victim = nullptr;
  server.opened = [&](Connection& c) {
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
  Connection* connection = nullptr;
  std::string got;
  server.frame = [&](Connection& c, std::string_view payload) {
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
  server.frame = [&](Connection& c, std::string_view payload) {
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
  server.frame = [&](Connection&, std::string_view payload) {
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
    server.opened = [&](Connection& c) {
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
  server.opened = [&](Connection&) { client.reset(); };
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

  server.frame = [&](Connection& c, std::string_view payload) {
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
  server.frame = [&](Connection& c, std::string_view payload) {
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

TEST_CASE("a thousand clients that come at once are all served") {
  raiseDescriptorLimit().valueOr(0);
  constexpr int kClients = 1000;
  Server server;
  server.frame = echo;
  Recorder client;
  client.opened = [](Connection& c) { c.send(std::to_string(number(c.id()))); };
  client.frame = [&](Connection& c, std::string_view payload) {
    CHECK(payload == std::to_string(number(c.id())));
    if (client.frameCount == kClients) server.loop->stop();
  };
  client.closed = [&](Connection&, const Error&) { server.loop->stop(); };
  for (std::uint64_t i = 0; i < kClients; ++i) {
    REQUIRE(server.loop->dial(ConnectionId{2 * i + 1}, server.address(), client, 30s).ok());
  }
  for (auto& id : {std::uint64_t{1}, std::uint64_t{999}}) {
    CHECK(server.loop->find(ConnectionId{id}) != nullptr);
  }
  // Client ids are odd and accepted ones even, so both ends live in one loop.
  server.loop->run();
  CHECK(client.ends.empty());
  CHECK(client.frameCount == kClients);
  CHECK(server.loop->connectionCount() == 2 * kClients);
}

TEST_CASE("the table of descriptors is made large at once, and nothing stays open for it") {
  const auto openFiles = [] {
    const auto entries = std::filesystem::directory_iterator("/proc/self/fd");
    return std::distance(begin(entries), end(entries));
  };
  const auto tableSize = [] {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
      if (word == "FDSize:") break;
    }
    std::uint64_t size = 0;
    status >> size;
    return size;
  };
  const auto allowed = raiseDescriptorLimit().valueOr(0);
  const auto wanted = std::min<std::uint64_t>(allowed, tableSize() + 1000);
  const auto before = openFiles();
  reserveDescriptors(wanted);
  CHECK(tableSize() >= wanted);
  CHECK(openFiles() == before);
}

TEST_CASE("when descriptors run out joiners wait without a spinning loop, and are accepted later") {
  Server server;
  std::vector<std::string> lines;
  log::setSink(
      [](std::string_view line, void* context) {
        static_cast<std::vector<std::string>*>(context)->emplace_back(line);
      },
      &lines);
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) clients.emplace_back(server.address());
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const int lowest = ::dup(0);
  ::close(lowest);
  const rlimit none{static_cast<rlim_t>(lowest), before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none);

  TimePoint deadline = Clock::now() + 3 * limits::kAcceptPause;
  int asked = 0;  // for the deadline, in each round
  server.loop->setTick(
      [&] {
        ++asked;
        return deadline;
      },
      [&](TimePoint) {
        deadline = kNever;
        server.loop->stop();
      });
  server.loop->run();
  CHECK(server.openedCount == 0);
  CHECK(asked < 50);

  ::setrlimit(RLIMIT_NOFILE, &before);
  server.opened = [&](Connection&) {
    if (server.openedCount == 3) server.loop->stop();
  };
  server.loop->run();
  log::setSink(nullptr, nullptr);
  CHECK(server.openedCount == 3);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].find("Too many open files") != std::string::npos);
  CHECK(lines[1].find("accepting connections on") != std::string::npos);
}

TEST_CASE("functions posted from other threads run on the loop, each once and in order") {
  Server server;
  constexpr int kThreads = 4;
  constexpr int kEach = 1000;
  std::vector<std::vector<int>> seen(kThreads);
  int total = 0;
  const auto owner = std::this_thread::get_id();
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        server.loop->post([&, t, i] {
          CHECK(std::this_thread::get_id() == owner);
          seen[t].push_back(i);
          if (++total == kThreads * kEach) server.loop->stop();
        });
      }
    });
  }
  server.loop->run();
  for (const auto& one : seen) {
    CHECK(one.size() == kEach);
    CHECK(std::is_sorted(one.begin(), one.end()));
  }
}

TEST_CASE("what was sent before stop is written") {
  Server server;
  server.opened = [&](Connection& c) {
    c.send("goodbye");
    server.loop->stop();
  };
  const RawClient client(server.address());
  server.loop->run();
  CHECK(client.read(11) == framed("goodbye"));
}

TEST_CASE("a stop from another thread ends the loop, also before it runs") {
  Server server;
  std::jthread other([&] { server.loop->stop(); });
  server.loop->run();
  other.join();
  server.loop->stop();
  server.loop->run();
}

TEST_CASE("a signal is told on the loop") {
  Server server;
  std::vector<int> signals;
  REQUIRE(server.loop->addSignalHandler({SIGUSR1, SIGUSR2}, [&](int signal) {
    signals.push_back(signal);
    if (signals.size() == 2) server.loop->stop();
  }));
  const auto owner = ::pthread_self();
  std::jthread other([owner] {
    ::pthread_kill(owner, SIGUSR1);
    ::pthread_kill(owner, SIGUSR2);
  });
  server.loop->run();
  std::sort(signals.begin(), signals.end());
  CHECK(signals == std::vector<int>{SIGUSR1, SIGUSR2});
}

TEST_CASE("a watched descriptor is told of until it is unwatched, also from its own function") {
  Server server;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  int told = 0;
  REQUIRE(server.loop->watch(ends[0], [&] {
    ++told;
    server.loop->unwatch(ends[0]);
    server.loop->post([&] { server.loop->stop(); });
  }));
  REQUIRE(::write(ends[1], "x", 1) == 1);
  server.loop->run();
  server.loop->post([&] { server.loop->stop(); });
  server.loop->run();
  CHECK(told == 1);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("handlers may close any connection from any callback, and each end is told once") {
  Server server;
  std::vector<Connection*> open;
  server.opened = [&](Connection& c) { open.push_back(&c); };
  server.frame = [&](Connection& c, std::string_view) {
    // All of them have something to say in this round; only the first gets to.
    for (Connection* one : open) one->close({ErrorCode::failed, "all out"});
    c.send("ignored");
    c.pauseReading();
    c.resumeReading();
    c.close({ErrorCode::failed, "twice"});
    c.closeAfterFlush({ErrorCode::failed, "three times"});
  };
  server.closed = [&](Connection& c, const Error& why) {
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

TEST_CASE("a listener may be destroyed by what it accepts") {
  Server server;
  server.opened = [&](Connection& c) {
    server.listener.reset();
    c.close({ErrorCode::failed, "one is enough"});
  };
  server.stopOnceClosed();
  const Endpoint at = server.address();
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) clients.emplace_back(at);
  server.loop->run();
  CHECK(server.openedCount == 1);
}

TEST_CASE("a handler that dials again whenever it is refused does not starve the others") {
  Server server;
  const Endpoint gone = [] {
    Server other;
    return other.address();
  }();
  Recorder stubborn;
  std::uint64_t next = 1;
  stubborn.closed = [&](Connection&, const Error&) {
    next += 2;
    REQUIRE(server.loop->dial(ConnectionId{next}, gone, stubborn).ok());
  };
  server.frame = [&](Connection&, std::string_view) { server.loop->stop(); };
  REQUIRE(server.loop->dial(ConnectionId{next}, gone, stubborn).ok());
  const RawClient client(server.address());
  client.write(framed("let me through"));
  server.loop->run();
  CHECK(server.frameCount == 1);
}

TEST_CASE("a busy connection does not keep another one waiting") {
  Server server;
  std::vector<ConnectionId> order;
  server.frame = [&](Connection& c, std::string_view) {
    order.push_back(c.id());
    if (order.size() == 2001) server.loop->stop();
  };
  const RawClient busy(server.address());
  std::string stream;
  for (int i = 0; i < 2000; ++i) stream += framed("x");
  busy.write(stream);
  const RawClient modest(server.address());
  modest.write(framed("y"));
  server.loop->run();
  const auto turn = std::find(order.begin(), order.end(), ConnectionId{4}) - order.begin();
  CHECK(turn <= 2 * limits::kFramesPerRound);
}

TEST_CASE("closing after a flush lets a client that still talks read our last words") {
  Server server;
  const std::string piece(limits::kFrameBytes, 'x');
  server.frame = [&](Connection& c, std::string_view) {
    for (int i = 0; i < 64; ++i) c.send(piece);
    c.closeAfterFlush({ErrorCode::refused, "that was all"});
    c.send("not this");
  };
  server.stopOnceClosed();
  RawClient client(server.address(), 64 * 1024);
  client.write(framed("ask"));
  std::size_t got = 0;
  std::thread reader([&] {
    // What it says goes to nobody; a plain close would answer with a reset, and lose the rest.
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
  server.opened = [&](Connection& c) {
    c.closeAt(Clock::now() - 1ms, {ErrorCode::timeout, "it never said what it is for"});
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

TEST_CASE("after a stall everything that has arrived is read before the tick") {
  constexpr int kClients = 2 * limits::kEventsPerRound;
  REQUIRE(raiseDescriptorLimit().valueOr(0) > 2 * kClients + 100);
  Server server;
  std::vector<RawClient> clients;
  server.opened = [&](Connection&) {
    if (server.openedCount == kClients) server.loop->stop();
  };
  std::thread dialler([&] {
    for (int i = 0; i < kClients; ++i) clients.emplace_back(server.address());
  });
  server.loop->run();
  dialler.join();
  for (const auto& client : clients) client.write(framed("alive"));

  // As after SIGSTOP: the deadline passed long ago.
  TimePoint deadline = Clock::now() - 10s;
  int heardBeforeTick = -1;
  server.loop->setTick([&] { return deadline; },
                       [&](TimePoint now) {
                         CHECK(now >= deadline);
                         heardBeforeTick = server.frameCount;
                         deadline = kNever;
                         server.loop->stop();
                       });
  server.loop->run();
  CHECK(heardBeforeTick == kClients);
}

TEST_CASE("a deadline that is only just due is kept in the round in which it is due") {
  Server server;
  const RawClient client(server.address());
  client.write(framed("first"));
  TimePoint deadline = kNever;
  std::vector<std::string> order;
  server.frame = [&](Connection&, std::string_view payload) {
    order.emplace_back(payload);
    server.loop->post([&] { order.emplace_back("posted"); });
    deadline = Clock::now();
  };
  server.loop->setTick([&] { return deadline; },
                       [&](TimePoint) {
                         order.emplace_back("tick");
                         deadline = kNever;
                         server.loop->stop();
                       });
  server.loop->run();
  CHECK(order == std::vector<std::string>{"first", "posted", "tick"});
}

TEST_CASE("the tick comes when nothing else does") {
  Server server;
  TimePoint deadline = Clock::now() + 20ms;
  server.loop->setTick([&] { return deadline; },
                       [&](TimePoint now) {
                         CHECK(now >= deadline);
                         deadline = kNever;
                         server.loop->stop();
                       });
  server.loop->run();
  CHECK(deadline == kNever);
}

TEST_CASE("connections that are open when the loop goes are closed without being told") {
  Recorder orphan;
  std::optional<RawClient> client;
  {
    Server server;
    client.emplace(server.address());
    server.opened = [&](Connection&) { server.loop->stop(); };
    server.loop->run();
    REQUIRE(server.loop->dial(ConnectionId{1}, server.address(), orphan).ok());
  }
  CHECK(orphan.ends.empty());
  CHECK(client->read(1).empty());
}

TEST_CASE("a local socket is listened on like any other") {
  const auto loop = std::move(*EventLoop::create());
  char folder[] = "/tmp/espalier-net-XXXXXX";
  REQUIRE(::mkdtemp(folder) != nullptr);
  const std::string path = std::string(folder) + "/socket";
  Poco::Net::ServerSocket socket;
  socket.bind(Poco::Net::SocketAddress(Poco::Net::SocketAddress::UNIX_LOCAL, path), false, false);
  socket.listen(8);
  Recorder server;
  server.frame = [&](Connection& c, std::string_view payload) {
    CHECK(payload == "status");
    CHECK(c.remote().text() == "a local socket");
    loop->stop();
  };
  const auto listener = Listener::adopt(*loop, socket, server);
  REQUIRE(listener.ok());
  Poco::Net::StreamSocket client(
      Poco::Net::SocketAddress(Poco::Net::SocketAddress::UNIX_LOCAL, path));
  const std::string bytes = framed("status");
  client.sendBytes(bytes.data(), static_cast<int>(bytes.size()));
  loop->run();
  ::unlink(path.c_str());
  ::rmdir(folder);
  CHECK(server.frameCount == 1);
}

TEST_CASE("an IPv4 address that came over IPv6 is the IPv4 address") {
  sockaddr_storage native;
  (void)Address::fromEndpoint({"::ffff:10.1.2.3", 80})->toNative(native);
  CHECK(Address::fromNative(native).text() == "10.1.2.3:80");
  (void)Address::fromEndpoint({"fe80::1", 80})->toNative(native);
  CHECK(Address::fromNative(native).text() == "[fe80::1]:80");
}
