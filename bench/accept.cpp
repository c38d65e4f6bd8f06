// What the event loop costs for each new connection: a client connects, sends a frame, receives
// one, and stays connected. The same, in the same run, with a bare loop that only accepts and
// replies. The server's own CPU time for a connection is the figure that a busy machine disturbs
// least.
//
//   bench/accept [CONNECTIONS] [REPEATS]
//
// JSON on standard output, a table on standard error.
#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/bare_server.h"
#include "common/net/address.h"
#include "common/net/event_loop.h"
#include "common/net/listener.h"

using namespace espalier;

namespace {

constexpr int kHelloBytes = 60;
constexpr int kReplyBytes = 40;
constexpr int kBurst = 64;  // clients that wait for their answer at the same time

struct Figures {
  double perSecond = 0;
  double cpuMicroseconds = 0;  // of the server, for a connection
  double bytes = 0;            // of its heap, for an idle connection
};

std::string frameOf(std::size_t bytes) {
  std::string frame;
  wire::appendFrame(std::string(bytes, 'x'), frame);
  return frame;
}

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

double cpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// The clients, in a process of their own. They are closed when it ends.
pid_t startClients(const net::Address& server, int connections, int go, int done) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  sockaddr_storage native;
  const socklen_t length = server.toNative(native);
  const std::string hello = frameOf(kHelloBytes);
  char reply[4 + kReplyBytes];
  if (::read(go, reply, 1) != 1) std::_Exit(1);
  std::vector<int> sockets;
  for (int first = 0; first < connections; first += kBurst) {
    const auto begin = sockets.size();
    for (int i = first; i < std::min(first + kBurst, connections); ++i) {
      const int one = ::socket(AF_INET, SOCK_STREAM, 0);
      if (::connect(one, reinterpret_cast<sockaddr*>(&native), length) != 0) fail("connect");
      if (::send(one, hello.data(), hello.size(), 0) < 0) fail("send");
      sockets.push_back(one);
    }
    for (auto i = begin; i < sockets.size(); ++i) {
      if (::recv(sockets[i], reply, sizeof reply, MSG_WAITALL) != sizeof reply) fail("recv");
    }
  }
  if (::write(done, "x", 1) != 1) std::_Exit(1);
  char never;
  [[maybe_unused]] const auto stays = ::read(go, &never, 1);
  std::_Exit(0);
}

// Runs `serve` until the clients have been answered.
template <typename Serve>
Figures measure(const net::Address& server, int connections, const Serve& serve) {
  int go[2];
  int done[2];
  if (::pipe(go) != 0 || ::pipe(done) != 0) fail("pipe");
  const pid_t child = startClients(server, connections, go[0], done[1]);
  const auto heapBefore = static_cast<double>(::mallinfo2().uordblks);
  const double cpuBefore = cpuSeconds();
  const auto start = std::chrono::steady_clock::now();
  if (::write(go[1], "x", 1) != 1) fail("write");
  serve(done[0]);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  const double cpu = cpuSeconds() - cpuBefore;
  const auto heap = static_cast<double>(::mallinfo2().uordblks) - heapBefore;
  if (::write(go[1], "x", 1) != 1) fail("write");
  ::waitpid(child, nullptr, 0);
  for (const int end : {go[0], go[1], done[0], done[1]}) ::close(end);
  return {connections / taken.count(), 1e6 * cpu / connections, heap / connections};
}

Figures measureBare(int connections) {
  bench::BareServer server(frameOf(kReplyBytes));
  return measure(*net::Address::fromEndpoint(server.endpoint()), connections,
                 [&](int done) { server.run(done); });
}

struct Replier : net::ConnectionHandler, net::ListenerHandler {
  std::uint64_t next = 2;
  std::string reply = std::string(kReplyBytes, 'x');

  std::optional<net::Admission> onAccept(const net::Address&) override {
    return net::Admission{ConnectionId{next += 2}, this};
  }
  void onFrame(net::FramedConnection& connection, std::string_view) override {
    connection.send(reply);
  }
  void onClosed(net::FramedConnection&, const Error&) override {}
};

Figures measureLoop(int connections) {
  auto loop = std::move(*net::EventLoop::create());
  Replier replier;
  auto listener = std::move(*net::Listener::open(*loop, Endpoint{"127.0.0.1", 0}, replier));
  const auto address = net::Address::fromEndpoint(listener->localAddress());
  const auto serve = [&](int done) {
    if (!loop->watch(done, [&] { loop->stop(); })) std::exit(1);
    loop->run();
    loop->unwatch(done);
  };
  return measure(*address, connections, serve);
}

}  // namespace

int main(int argc, char** argv) {
  const int connections = argc > 1 ? std::atoi(argv[1]) : 10'000;
  const int repeats = argc > 2 ? std::atoi(argv[2]) : 5;
  if (!net::raiseDescriptorLimit()) fail("setrlimit");
  Figures bare;
  Figures loop;
  // The best of several runs that take turns: a disturbance only makes a run slower.
  const auto better = [](Figures& best, const Figures& one) {
    best.perSecond = std::max(best.perSecond, one.perSecond);
    best.cpuMicroseconds = best.cpuMicroseconds == 0
                               ? one.cpuMicroseconds
                               : std::min(best.cpuMicroseconds, one.cpuMicroseconds);
    best.bytes = one.bytes;
  };
  for (int i = 0; i < repeats; ++i) {
    better(bare, measureBare(connections));
    better(loop, measureLoop(connections));
  }
  fmt::print(stderr, "{:<12} {:>14} {:>16} {:>12}\n", "", "connections/s", "server us each",
             "bytes each");
  const auto row = [](const char* name, const Figures& figures) {
    fmt::print(stderr, "{:<12} {:>14.0f} {:>16.2f} {:>12.0f}\n", name, figures.perSecond,
               figures.cpuMicroseconds, figures.bytes);
  };
  row("bare epoll", bare);
  row("event loop", loop);
  fmt::print(
      "{{\"bench\":\"accept\",\"connections\":{},\"bare_per_second\":{:.0f},"
      "\"loop_per_second\":{:.0f},\"ratio\":{:.3f},\"bare_cpu_us\":{:.2f},\"loop_cpu_us\":{:.2f},"
      "\"loop_bytes\":{:.0f}}}\n",
      connections, bare.perSecond, loop.perSecond, loop.perSecond / bare.perSecond,
      bare.cpuMicroseconds, loop.cpuMicroseconds, loop.bytes);
}
