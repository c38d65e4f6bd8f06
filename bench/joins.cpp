// How fast a network grows: peers connect to the real metaserver, send Hello and Join, receive
// Admitted, and stay connected. The same, in the same run, with a bare loop that accepts, reads as
// many bytes and replies with as many. Both have the same clients: some hundred at a time, from
// addresses all over 127/8.
//
//   bench/joins [--runs 5] [--peers 1000,5000,15000] [--links 2] [--placement shallowest]
//
// Each size starts with an empty metaserver. `last_…` is the rate of the last thousand joiners
// alone, so the cost of a join in a network of that size. `cpu_us` is the server's processor time
// for a join. After the joins each peer reports its links and sends a heartbeat, as real peers do;
// `memory` is the growth of the metaserver's anonymous memory by then, for a peer. All are medians.
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <sstream>
#include <thread>
#include <unordered_map>

#include "bench/bare_server.h"
#include "bench/processes.h"
#include "common/base/limits.h"
#include "common/wire/frame.h"
#include "common/wire/registry_codec.h"

using namespace espalier;
using namespace espalier::bench;

namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr int kInFlight = 256;
constexpr int kTail = 1000;  // joiners of the last part

struct Figures {
  double perSecond = 0;
  double tailPerSecond = 0;
  double cpuMicroseconds = 0;
  double bytes = 0;
};

// What the clients' process reports to the one that measures.
struct Told {
  double seconds = 0;
  double tailSeconds = 0;
};

void appendFrames(std::string& out, std::initializer_list<std::string> payloads) {
  for (const auto& payload : payloads) wire::appendFrame(payload, out);
}

PeerId idOf(int number) {
  return PeerId::parse(fmt::format("peer{}", number)).value();
}

sockaddr_in addressOf(std::uint32_t host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(host);
  return address;
}

// Addresses from 127.1.0.0 on, one /16 after another, so that neither end runs out of ports.
std::uint32_t sourceOf(int number) {
  const auto n = static_cast<std::uint32_t>(number);
  return (127u << 24) | ((1 + n % 200) << 16) | ((n / 200) + 1);
}

class Clients {
 public:
  Clients(int count, const Endpoint& server) : server_(addressOf(INADDR_LOOPBACK, server.port)) {
    for (int i = 0; i < count; ++i) {
      wire::Join join;
      join.id = idOf(i + 1);
      join.key.bytes[0] = static_cast<std::uint8_t>(i);
      join.word = "P2P";
      std::string request;
      appendFrames(request,
                   {wire::encode(wire::Hello{}), wire::encode(wire::RegistryRequest(join))});
      requests_.push_back(std::move(request));
    }
    replies_.resize(requests_.size());
    sockets_.resize(requests_.size(), -1);
    epoll_ = ::epoll_create1(0);
  }

  Told join() {
    const auto start = SteadyClock::now();
    auto tailFrom = start;
    const int count = static_cast<int>(requests_.size());
    int started = 0;
    int answered = 0;
    std::array<epoll_event, kInFlight> events;
    while (answered < count) {
      while (started < count && started - answered < kInFlight) startOne(started++);
      const int ready = ::epoll_wait(epoll_, events.data(), kInFlight, 60'000);
      if (ready <= 0) fail("the server does not answer");
      for (int i = 0; i < ready; ++i) {
        if (!receive(events[static_cast<std::size_t>(i)].data.u32, 2)) continue;
        if (++answered == count - kTail) tailFrom = SteadyClock::now();
      }
    }
    const auto end = SteadyClock::now();
    const std::chrono::duration<double> all = end - start;
    const std::chrono::duration<double> tail = end - tailFrom;
    return {all.count(), tail.count()};
  }

  // What follows a join: each peer reports its links. The answer to a heartbeat, which follows,
  // says that the report was handled.
  void report() {
    std::unordered_map<std::string, std::vector<PeerId>> neighbours;
    std::vector<std::optional<PeerId>> parents(replies_.size());
    for (std::size_t i = 0; i < replies_.size(); ++i) {
      const auto admitted = admittedIn(replies_[i]);
      if (admitted.referral.kind != wire::Referral::Kind::below) continue;
      parents[i] = admitted.referral.parent.id;
      neighbours[admitted.self.id.text()].push_back(*parents[i]);
      neighbours[parents[i]->text()].push_back(admitted.self.id);
    }
    for (std::size_t i = 0; i < replies_.size(); ++i) {
      std::string frames;
      appendFrames(frames, {wire::encode(wire::RegistryRequest(wire::Links{
                                parents[i], neighbours[idOf(static_cast<int>(i) + 1).text()]})),
                            wire::encode(wire::RegistryRequest(wire::RegistryHeartbeat{}))});
      replies_[i].clear();
      if (::send(sockets_[i], frames.data(), frames.size(), MSG_NOSIGNAL) < 0) {
        failWithErrno("the metaserver has closed a connection");
      }
    }
    for (std::size_t i = 0; i < replies_.size(); ++i) {
      while (!receive(static_cast<std::uint32_t>(i), 1, 0)) {
      }
    }
  }

 private:
  void startOne(int number) {
    const int one = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(one, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    const sockaddr_in source = addressOf(sourceOf(number), 0);
    if (one < 0 || ::bind(one, reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0) {
      failWithErrno("a client's socket");
    }
    if (::connect(one, reinterpret_cast<const sockaddr*>(&server_), sizeof server_) != 0) {
      failWithErrno("connect");
    }
    const auto index = static_cast<std::size_t>(number);
    sockets_[index] = one;
    const auto& request = requests_[index];
    if (::send(one, request.data(), request.size(), MSG_NOSIGNAL) < 0) failWithErrno("send");
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = static_cast<std::uint32_t>(number);
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, one, &event);
  }

  // Receives; true if that many frames are complete.
  bool receive(std::uint32_t number, int frames, int flags = MSG_DONTWAIT) {
    char buffer[1024];
    const auto count = ::recv(sockets_[number], buffer, sizeof buffer, flags);
    if (count < 0 && errno == EAGAIN) return false;
    if (count <= 0) fail("the server closed a connection");
    auto& reply = replies_[number];
    reply.append(buffer, static_cast<std::size_t>(count));
    std::size_t at = 0;
    for (int i = 0; i < frames; ++i) {
      if (reply.size() < at + limits::kFrameHeaderBytes) return false;
      at += limits::kFrameHeaderBytes + *wire::frameLength(std::string_view(reply).substr(at, 4));
      if (reply.size() < at) return false;
    }
    return true;
  }

  static wire::Admitted admittedIn(const std::string& reply) {
    wire::FrameReader reader;
    reader.append(reply);
    auto frame = reader.next();
    frame = reader.next();
    if (frame && *frame) {
      const auto message = wire::decodeRegistryReply(**frame);
      if (message && std::holds_alternative<wire::Admitted>(*message)) {
        return std::get<wire::Admitted>(*message);
      }
    }
    fail("a peer was not admitted");
  }

  sockaddr_in server_;
  std::vector<std::string> requests_;
  std::vector<std::string> replies_;  // what has arrived
  std::vector<int> sockets_;
  int epoll_ = -1;
};

// --- the two servers

std::string bareReply() {
  wire::Admitted admitted;
  admitted.self = {idOf(7500), JoinOrder{7500}, {"127.100.0.100", 12'500}};
  admitted.network.bytes[0] = 1;
  admitted.members = 7500;
  admitted.referral = {wire::Referral::Kind::below,
                       {idOf(7498), JoinOrder{7498}, {"127.100.0.98", 12'498}}};
  std::string reply;
  appendFrames(reply, {wire::encode(wire::Welcome{}), wire::encode(wire::RegistryReply(admitted))});
  return reply;
}

Figures measure(const Process& server, const Endpoint& endpoint, int peers, bool reports) {
  int told[2];
  if (::pipe(told) != 0) failWithErrno("pipe");
  const double cpuBefore = server.cpuSeconds();
  const auto bytesBefore = static_cast<double>(server.anonymousBytes());
  const auto tell = [&](const void* data, std::size_t size) {
    if (::write(told[1], data, size) < 0) std::_Exit(1);
  };
  const Process clients = Process::fork([&] {
    ::close(told[0]);
    Clients all(peers, endpoint);
    const Told figures = all.join();
    tell(&figures, sizeof figures);
    if (reports) all.report();
    tell("x", 1);
    ::pause();
  });
  ::close(told[1]);
  Told figures;
  if (::read(told[0], &figures, sizeof figures) != sizeof figures) fail("the clients gave up");
  const double cpu = server.cpuSeconds() - cpuBefore;
  char reported;
  if (::read(told[0], &reported, 1) != 1) fail("the clients gave up");
  ::close(told[0]);
  if (reports) std::this_thread::sleep_for(std::chrono::milliseconds(300));  // topo.txt is written
  const double bytes = static_cast<double>(server.anonymousBytes()) - bytesBefore;
  return {peers / figures.seconds, kTail / figures.tailSeconds, 1e6 * cpu / peers, bytes / peers};
}

struct Series {
  std::vector<double> perSecond, tailPerSecond, cpuMicroseconds, bytes;
  void add(const Figures& one) {
    perSecond.push_back(one.perSecond);
    tailPerSecond.push_back(one.tailPerSecond);
    cpuMicroseconds.push_back(one.cpuMicroseconds);
    bytes.push_back(one.bytes);
  }
};

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments(
      argc, argv,
      {{"runs", "5"}, {"peers", "1000,5000,15000"}, {"links", "2"}, {"placement", "shallowest"}});
  rlimit descriptors{};
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
  std::vector<int> sizes;
  std::istringstream list(arguments.text("peers"));
  for (std::string word; std::getline(list, word, ',');) {
    const int size = std::atoi(word.c_str());
    if (size < kTail || static_cast<rlim_t>(size) + 100 > descriptors.rlim_max) {
      fail(fmt::format("--peers wants {} to {} (ulimit -Hn)", kTail, descriptors.rlim_max - 100));
    }
    sizes.push_back(size);
  }

  Report report("joins");
  report.note("runs", arguments.number("runs"));
  report.note("descriptor_limit", descriptors.rlim_max);
  std::map<int, Series> bare;
  std::map<int, Series> real;
  std::map<int, std::vector<double>> ratios;
  for (int run = 0; run < arguments.number("runs"); ++run) {
    for (const int size : sizes) {
      BareServer server(bareReply());
      const auto loop = Process::fork([&] { server.run(); });
      bare[size].add(measure(loop, server.endpoint(), size, false));
      const TemporaryFolder folder;
      const auto metaserver = startMetaserver(
          folder.path(),
          {"--max-links", arguments.text("links"), "--placement", arguments.text("placement")});
      real[size].add(measure(metaserver.process, metaserver.endpoint, size, true));
      ratios[size].push_back(real[size].perSecond.back() / bare[size].perSecond.back());
    }
  }
  std::vector<double> rates;
  for (const int size : sizes) {
    const Series& b = bare[size];
    const Series& r = real[size];
    rates.push_back(median(r.perSecond));
    report.row({{"peers", size},
                {"bare_per_s", rounded(median(b.perSecond))},
                {"joins_per_s", rounded(median(r.perSecond))},
                {"ratio", rounded(median(ratios[size]))},
                {"last_bare_per_s", rounded(median(b.tailPerSecond))},
                {"last_joins_per_s", rounded(median(r.tailPerSecond))},
                {"bare_cpu_us", rounded(median(b.cpuMicroseconds))},
                {"joins_cpu_us", rounded(median(r.cpuMicroseconds))},
                {"memory", rounded(median(r.bytes))}});
    report.atLeast(fmt::format("joins a second at {} peers, of a bare loop's", size),
                   median(ratios[size]), 0.5);
  }
  const auto [least, most] = std::minmax_element(rates.begin(), rates.end());
  report.atMost("fastest rate over slowest, from the smallest network to the largest",
                *most / *least, 1.5);
  report.atMost("the metaserver's memory a peer, bytes", median(real[sizes.back()].bytes), 2048);
  report.print();
}
