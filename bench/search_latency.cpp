// How long a search takes through real peers: a line of 4 … 64, where one end asks and only the
// other end has the file. A search ends when every peer has answered, so it passes each hop in both
// directions. It takes turns with a bare echo chain: as many small processes, each of which reads
// from one socket and writes to the next, with the bytes of a query and an answer. Then the same in
// a network of 256 peers with eight links each.
//
//   bench/search_latency [--searches 40] [--most 64] [--wide 256] [--links 8] [--pause-ms 25]
//
// The pause between two searches keeps them below a link's limit (limits::kQueriesPerSecond).
//   hop_us        the median divided by the hops; the slope over the lines leaves out what the
//                 command costs at the asker
//   relay_cpu_us  the processor time of a search at each peer, with all its threads and heartbeats
//   echo_cpu_us   the same of a process of the chain
// A busy machine disturbs processor times least.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "bench/processes.h"
#include "common/wire/frame.h"
#include "common/wire/link_codec.h"

using namespace espalier;
using namespace espalier::bench;

namespace {

using SteadyClock = std::chrono::steady_clock;

// The sizes of the two messages of such a search.
std::size_t queryBytes() {
  wire::Query query;
  query.id.bytes[0] = 1;
  query.text = "needle-p64.txt";
  query.budget = std::chrono::milliseconds(9000);
  query.asker = PeerId::parse("p64").value();
  query.hopsLeft = 64;
  return limits::kFrameHeaderBytes + wire::encode(wire::LinkMessage(query)).size();
}

std::size_t answerBytes() {
  wire::Answer answer;
  answer.id.bytes[0] = 1;
  answer.hits.push_back({"needle-p64.txt", 16, FileRoot{}, PeerId::parse("p64").value(),
                         Endpoint{"127.0.0.1", 12'345}});
  answer.hits[0].root.bytes[0] = 1;
  answer.coverage.push_back({1, 64});
  answer.done = true;
  return limits::kFrameHeaderBytes + wire::encode(wire::LinkMessage(answer)).size();
}

void receiveAll(int socket, std::string& buffer) {
  if (::recv(socket, buffer.data(), buffer.size(), MSG_WAITALL) !=
      static_cast<ssize_t>(buffer.size())) {
    std::_Exit(0);
  }
}

void sendAll(int socket, const std::string& buffer) {
  if (::send(socket, buffer.data(), buffer.size(), MSG_NOSIGNAL) < 0) std::_Exit(0);
}

// The echo chain: this process, then `hops` others.
class EchoChain {
 public:
  explicit EchoChain(int hops) : query_(queryBytes(), 'q'), answer_(answerBytes(), 'a') {
    std::vector<int> listeners;
    std::vector<sockaddr_in> addresses;
    for (int i = 0; i < hops; ++i) {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      socklen_t length = sizeof address;
      const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (::bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
          ::listen(listener, 1) != 0 ||
          ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
        failWithErrno("the echo chain");
      }
      listeners.push_back(listener);
      addresses.push_back(address);
    }
    for (std::size_t i = 0; i < listeners.size(); ++i) {
      processes_.push_back(Process::fork([&] {
        const int below = i + 1 < listeners.size() ? dial(addresses[i + 1]) : -1;
        const int above = ::accept(listeners[i], nullptr, nullptr);
        forward(noDelay(above), below);
      }));
    }
    first_ = dial(addresses[0]);
    for (const int listener : listeners) ::close(listener);
  }
  ~EchoChain() { ::close(first_); }

  const std::vector<Process>& processes() const { return processes_; }

  double run() {
    const auto start = SteadyClock::now();
    sendAll(first_, query_);
    receiveAll(first_, answer_);
    const std::chrono::duration<double> taken = SteadyClock::now() - start;
    return taken.count();
  }

 private:
  static int noDelay(int socket) {
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return socket;
  }

  static int dial(const sockaddr_in& address) {
    const int one = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(one, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      failWithErrno("the echo chain");
    }
    return noDelay(one);
  }

  [[noreturn]] void forward(int above, int below) {
    while (true) {
      receiveAll(above, query_);
      if (below >= 0) {
        sendAll(below, query_);
        receiveAll(below, answer_);
      }
      sendAll(above, answer_);
    }
  }

  std::string query_;
  std::string answer_;
  std::vector<Process> processes_;
  int first_ = -1;
};

struct Figures {
  int hops = 0;
  double search = 0;  // medians, seconds
  double slowest = 0;
  double echo = 0;
  double relayCpu = 0;  // seconds a search at each process
  double echoCpu = 0;
};

double cpuOf(const std::vector<Process>& processes) {
  double sum = 0;
  for (const auto& one : processes) sum += one.cpuSeconds();
  return sum;
}

// The seconds that a search took; -1 if it did not reach all peers.
double search(Control& control, const std::string& name, std::size_t peers) {
  const auto answer = control.run("find " + name);
  const bool complete = answer.json.is_object() && answer.json.contains("hits") &&
                        answer.json["hits"].size() == 1 && answer.json["searched"] == peers;
  return complete ? answer.seconds : -1;
}

Figures measure(int peers, int links, int searches, std::chrono::milliseconds pause) {
  const Network network(peers, links);
  const auto ends = network.ends();
  EchoChain chain(ends.hops);
  Control control(network.stateFolder(ends.from));
  const std::string name = "needle-" + ends.to + ".txt";
  const auto count = static_cast<std::size_t>(peers);
  waitFor("a search that reaches all peers", std::chrono::seconds(60), [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return search(control, name, count) >= 0;
  });
  std::vector<double> times;
  std::vector<double> echoes;
  int incomplete = 0;
  const double cpuBefore = cpuOf(network.peers());
  const double echoCpuBefore = cpuOf(chain.processes());
  for (int i = 0; i < searches; ++i) {
    std::this_thread::sleep_for(pause);
    const double time = search(control, name, count);
    if (time < 0) {
      ++incomplete;
    } else {
      times.push_back(time);
    }
    std::this_thread::sleep_for(pause);
    echoes.push_back(chain.run());
  }
  const double cpu = cpuOf(network.peers()) - cpuBefore;
  const double echoCpu = cpuOf(chain.processes()) - echoCpuBefore;
  if (2 * incomplete > searches) fail("most searches did not reach all peers");
  if (incomplete > 0) fmt::print(stderr, "{} of {} searches incomplete\n", incomplete, searches);
  return {ends.hops,      median(times),          *std::max_element(times.begin(), times.end()),
          median(echoes), cpu / searches / peers, echoCpu / searches / ends.hops};
}

Json rowOf(int peers, int links, const Figures& figures) {
  return {{"peers", peers},
          {"links", links},
          {"hops", figures.hops},
          {"search_ms", rounded(1e3 * figures.search)},
          {"slowest_ms", rounded(1e3 * figures.slowest)},
          {"hop_us", rounded(1e6 * figures.search / figures.hops)},
          {"echo_ms", rounded(1e3 * figures.echo)},
          {"echo_hop_us", rounded(1e6 * figures.echo / figures.hops)},
          {"ratio", rounded(figures.search / figures.echo)},
          {"relay_cpu_us", rounded(1e6 * figures.relayCpu)},
          {"echo_cpu_us", rounded(1e6 * figures.echoCpu)}};
}

struct Line {
  double perHop = 0;
  double r2 = 0;  // 1: the points lie on a line
};

Line fit(const std::vector<Figures>& all, double Figures::*value) {
  const double n = static_cast<double>(all.size());
  double x = 0, y = 0, xx = 0, xy = 0, yy = 0;
  for (const auto& one : all) {
    const double hops = one.hops;
    const double v = one.*value;
    x += hops;
    y += v;
    xx += hops * hops;
    xy += hops * v;
    yy += v * v;
  }
  const double sxx = xx - x * x / n;
  const double sxy = xy - x * y / n;
  const double syy = yy - y * y / n;
  return {sxy / sxx, sxy * sxy / (sxx * syy)};
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments(
      argc, argv,
      {{"searches", "40"}, {"most", "64"}, {"wide", "256"}, {"links", "8"}, {"pause-ms", "25"}});
  const int searches = arguments.number("searches");
  const std::chrono::milliseconds pause(arguments.number("pause-ms"));
  Report report("search_latency");
  report.note("searches", searches);
  std::vector<Figures> lines;
  for (const int peers : {4, 8, 16, 32, 64}) {
    if (peers > arguments.number("most")) break;
    lines.push_back(measure(peers, 2, searches, pause));
    report.row(rowOf(peers, 2, lines.back()));
  }
  if (lines.size() > 2) {
    const Line ours = fit(lines, &Figures::search);
    const Line echo = fit(lines, &Figures::echo);
    report.note("hop_us", rounded(1e6 * ours.perHop));
    report.note("echo_hop_us", rounded(1e6 * echo.perHop));
    report.atLeast("how linear the latency is in the hops (r squared)", ours.r2, 0.98);
    report.atMost("a hop down and back, of a bare echo chain's (slopes)", ours.perHop / echo.perHop,
                  3);
    report.atMost("the longest line's latency, of a bare echo chain's",
                  lines.back().search / lines.back().echo, 3);
  }
  if (arguments.number("wide") > 1) {
    const int links = arguments.number("links");
    const int peers = arguments.number("wide");
    report.row(rowOf(peers, links, measure(peers, links, searches, pause)));
  }
  report.print();
}
