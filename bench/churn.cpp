// Members of one metaserver that come and die, held by one process: the load of bench/page. It
// speaks the registry's protocol as peers do, with the links that they would have: an orphan seeks,
// takes the parent that it is referred to, and both report the link.
//
//   churn HOST:PORT MEMBERS
//
// Tells {"members":N} once all are in. Then reads commands on standard input, and answers each with
// a line of JSON; with a rate of 0 the network is quiet meanwhile, but for its heartbeats.
//
//   churn PER_SECOND SECONDS   so many die and as many join, a second
//   quit
//
// Single-threaded, one epoll. A failure of the protocol ends the process with a sentence.
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iostream>
#include <map>
#include <random>
#include <sstream>
#include <vector>

#include "bench/load_socket.h"
#include "common/wire/registry_codec.h"

using namespace espalier;
using namespace espalier::bench;

namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr std::size_t kBeatParts = 20;  // members send heartbeats in so many groups
constexpr std::size_t kWindow = 64;     // joins under way at the start

struct Member {
  PeerId id;
  std::size_t number = 0;
  int socket = -1;
  wire::FrameReader reader;
  bool isWelcome = false;
  bool isIn = false;
  std::optional<PeerId> parent;
  std::vector<PeerId> neighbours;
};

class Churn {
 public:
  explicit Churn(const Endpoint& address)
      : address_(address), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    watch(STDIN_FILENO);
  }

  void fill(std::size_t count) {
    while (in_ < count) {
      while (members_.size() < count && members_.size() - in_ < kWindow) join();
      (void)turn(std::chrono::milliseconds(20));
    }
  }

  Json churn(double perSecond, double seconds) {
    const auto began = SteadyClock::now();
    const std::size_t joined = joined_;
    std::size_t died = 0;
    while (true) {
      const double passed = std::chrono::duration<double>(SteadyClock::now() - began).count();
      if (passed >= seconds) break;
      while (static_cast<double>(died) < perSecond * passed && !members_.empty()) {
        die();
        join();
        ++died;
      }
      (void)turn(std::chrono::milliseconds(5));
    }
    return {{"died", died}, {"joined", joined_ - joined}, {"members", members_.size()}};
  }

  // Handles what is there. True: a command may be read.
  bool turn(std::chrono::milliseconds wait) {
    const bool isCommanded = handleReady(epoll_, wait, [this](int socket) { receive(socket); });
    beat();
    return isCommanded;
  }

 private:
  void watch(int socket) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = socket;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event);
  }

  static void send(const Member& member, const wire::RegistryRequest& request) {
    send(member.socket, framed(wire::encode(request)));
  }
  static void send(int socket, const std::string& frames) {
    if (::send(socket, frames.data(), frames.size(), MSG_NOSIGNAL) < 0) failWithErrno("a send");
  }

  Member* find(const PeerId& id) {
    const auto found = members_.find(id);
    return found == members_.end() ? nullptr : &found->second;
  }

  void join() {
    const std::size_t number = ++made_;
    wire::Join join;
    join.id = PeerId::parse(fmt::format("peer{}", number)).value();
    for (int i = 0; i < 4; ++i) {
      join.key.bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(number >> (8 * i));
    }
    join.word = "P2P";
    Member member;
    member.id = join.id;
    member.number = number;
    member.socket = dialFrom(number, address_.port);
    if (member.socket < 0) fail("the metaserver refuses connections");
    watch(member.socket);
    ids_[member.socket] = member.id;
    send(member.socket,
         framed(wire::encode(wire::Hello{})) + framed(wire::encode(wire::RegistryRequest(join))));
    members_.emplace(join.id, std::move(member));
  }

  // Any member, as by kill -9: its connection ends, and its neighbours notice.
  void die() {
    auto found = members_.begin();
    std::advance(found, static_cast<std::ptrdiff_t>(random_() % members_.size()));
    const Member dead = std::move(found->second);
    members_.erase(found);
    if (dead.isIn) --in_;
    ids_.erase(dead.socket);
    ::close(dead.socket);
    for (const auto& id : dead.neighbours) {
      Member* const other = find(id);
      if (other == nullptr) continue;
      std::erase(other->neighbours, dead.id);
      if (other->parent == dead.id) {
        other->parent.reset();
        send(*other, wire::Seek{dead.id, std::nullopt});
      }
      report(*other);
    }
  }

  static void report(const Member& member) {
    send(member, wire::Links{member.parent, member.neighbours});
  }

  void attach(Member& child, const wire::Referral& referral) {
    if (referral.kind != wire::Referral::Kind::below || child.parent) return;
    Member* const parent = find(referral.parent.id);
    if (parent == nullptr) {
      return send(child, wire::Seek{std::nullopt, referral.parent.id});
    }
    child.parent = parent->id;
    child.neighbours.push_back(parent->id);
    parent->neighbours.push_back(child.id);
    report(*parent);
    report(child);
  }

  void receive(int socket) {
    const auto known = ids_.find(socket);
    if (known == ids_.end()) return;
    Member& member = members_.find(known->second)->second;
    char buffer[4096];
    const auto count = ::recv(socket, buffer, sizeof buffer, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) fail("the metaserver has closed a session");
    member.reader.append({buffer, static_cast<std::size_t>(count)});
    while (true) {
      const auto frame = member.reader.next();
      if (!frame) fail("no frame: " + frame.error().message);
      if (!*frame) return;
      if (!std::exchange(member.isWelcome, true)) continue;
      take(member, **frame);
    }
  }

  void take(Member& member, std::string_view payload) {
    const auto reply = wire::decodeRegistryReply(payload);
    if (!reply) fail("no reply: " + reply.error().message);
    if (const auto* admitted = std::get_if<wire::Admitted>(&*reply)) {
      interval_ = admitted->heartbeatInterval;
      if (!std::exchange(member.isIn, true)) {
        ++in_;
        ++joined_;
      }
      attach(member, admitted->referral);
    } else if (const auto* referral = std::get_if<wire::Referral>(&*reply)) {
      attach(member, *referral);
    } else if (const auto* beat = std::get_if<wire::RegistryHeartbeatReply>(&*reply)) {
      interval_ = beat->heartbeatInterval;
    } else if (const auto* failure = std::get_if<wire::Failure>(&*reply)) {
      fail("refused: " + failure->message);
    }
  }

  void beat() {
    const auto now = SteadyClock::now();
    if (now < beatAt_) return;
    beatAt_ = now + interval_ / kBeatParts;
    part_ = (part_ + 1) % kBeatParts;
    for (const auto& [id, member] : members_) {
      const bool isDue = member.number % kBeatParts == part_;
      if (isDue && member.isIn) send(member, wire::RegistryHeartbeat{});
    }
  }

  const Endpoint address_;
  const int epoll_;
  std::mt19937 random_{1};
  std::map<PeerId, Member> members_;
  std::map<int, PeerId> ids_;  // by socket
  std::size_t made_ = 0;
  std::size_t in_ = 0;
  std::size_t joined_ = 0;
  std::chrono::milliseconds interval_{2000};
  SteadyClock::time_point beatAt_{};
  std::size_t part_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const auto address = argc == 3 ? Endpoint::parse(argv[1]) : Result<Endpoint>(Error{});
  if (!address) fail("usage: churn HOST:PORT MEMBERS");
  raiseDescriptors();
  Churn churn(*address);
  const auto count = static_cast<std::size_t>(std::stoul(argv[2]));
  churn.fill(count);
  std::cout << Json{{"members", count}}.dump() << std::endl;
  while (true) {
    if (!churn.turn(std::chrono::milliseconds(20))) continue;
    std::string line;
    if (!std::getline(std::cin, line) || line == "quit") return 0;
    std::istringstream words(line);
    std::string command;
    double perSecond = 0;
    double seconds = 0;
    words >> command >> perSecond >> seconds;
    if (command != "churn") fail("no such command: " + command);
    std::cout << churn.churn(perSecond, seconds).dump() << std::endl;
  }
}
