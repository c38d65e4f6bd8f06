// Listening, addresses, and what happens when descriptors run out.
#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/SocketAddress.h>
#include <Poco/Net/StreamSocket.h>
#include <doctest/doctest.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "common/base/fs.h"
#include "common/base/log.h"
#include "tests/unit/net_fixture.h"

using namespace espalier;
using namespace espalier::net;
using namespace espalier::net::test;
using namespace std::chrono_literals;

TEST_CASE("both ends know their addresses, and accepted sockets do not delay small segments") {
  Server server;
  Recorder client;
  Endpoint seenByServer;
  int noDelay = 0;
  server.opened = [&](FramedConnection& c) {
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

TEST_CASE("a thousand clients that come at once are all served") {
  raiseDescriptorLimit().valueOr(0);
  constexpr int kClients = 1000;
  Server server;
  server.frame = echo;
  Recorder client;
  client.opened = [](FramedConnection& c) { c.send(std::to_string(number(c.id()))); };
  client.frame = [&](FramedConnection& c, std::string_view payload) {
    CHECK(payload == std::to_string(number(c.id())));
    if (client.frameCount == kClients) server.loop->stop();
  };
  client.closed = [&](FramedConnection&, const Error&) { server.loop->stop(); };
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
    const auto entries = fs::directory_iterator("/proc/self/fd");
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
  server.opened = [&](FramedConnection&) {
    if (server.openedCount == 3) server.loop->stop();
  };
  server.loop->run();
  log::setSink(nullptr, nullptr);
  CHECK(server.openedCount == 3);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].find("Too many open files") != std::string::npos);
  CHECK(lines[1].find("accepting connections on") != std::string::npos);
}

TEST_CASE("a listener may be destroyed by what it accepts") {
  Server server;
  server.opened = [&](FramedConnection& c) {
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

TEST_CASE("a local socket is listened on like any other") {
  const auto loop = std::move(*EventLoop::create());
  char folder[] = "/tmp/espalier-net-XXXXXX";
  REQUIRE(::mkdtemp(folder) != nullptr);
  const std::string path = std::string(folder) + "/socket";
  Poco::Net::ServerSocket socket;
  socket.bind(Poco::Net::SocketAddress(Poco::Net::SocketAddress::UNIX_LOCAL, path), false, false);
  socket.listen(8);
  Recorder server;
  server.frame = [&](FramedConnection& c, std::string_view payload) {
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
