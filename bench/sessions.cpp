// Sessions with metaservers, thousands of them, held by one process: the load of bench/cluster. It
// speaks the registry's protocol as peers do: it sends heartbeats, follows redirects with id, key,
// order and port, and goes to another metaserver when its own one is gone. It makes no links.
//
// Reads commands on standard input, one a line, and answers each with a line of JSON. ADDRESSES:
// HOST:PORT[,HOST:PORT…]; sessions take them in turns.
//
//   join COUNT WINDOW ADDRESSES       newcomers, so many at a time; Hello and Join at once
//   open COUNT WINDOW ADDRESSES       sessions that do not join yet
//   ask WINDOW                        those join
//   links                             each member reports the links that it would have
//   redirects COUNT WINDOW ADDRESSES  newcomers that end when they are redirected
//   visible COUNT GAP_MS ADDRESSES    newcomers one by one; ms until all addresses know each
//   moved COUNT SECONDS               waits until members have moved so often
//   move COUNT PER_SECOND ADDRESSES   so many members go, each to the address after that of its own
//                                     metaserver, as if that one had redirected them
//   report                            members, moves, losses, homes
//   quit
//
// Single-threaded, one epoll. Sources are addresses all over 127/8, so that neither end runs out of
// ports. A failure of the protocol ends the process with a sentence.
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <sstream>
#include <unordered_map>

#include "bench/load_socket.h"
#include "common/base/limits.h"
#include "common/wire/registry_codec.h"

using namespace espalier;
using namespace espalier::bench;

namespace {

using SteadyClock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;
constexpr int kBeatParts = 1000;  // members send heartbeats in so many groups, as evenly as peers
constexpr std::chrono::milliseconds kTurn{2};
constexpr auto kPatience = std::chrono::seconds(60);

std::vector<Endpoint> endpointsOf(const std::string& list) {
  std::vector<Endpoint> endpoints;
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    const auto endpoint = Endpoint::parse(word);
    if (!endpoint) fail("no address: " + word);
    endpoints.push_back(*endpoint);
  }
  if (endpoints.empty()) fail("a command wants addresses");
  return endpoints;
}

struct Session {
  enum class Goal { open, join, redirect, watch };
  Goal goal = Goal::join;
  wire::Join join;
  bool isWelcome = false;
  bool isMember = false;
  bool hasAsked = false;
  int current = -1;  // sockets
  int next = -1;     // at the metaserver that it is moving to
  Endpoint home;
  Endpoint nextHome;
  std::optional<PeerId> parent;
  SteadyClock::time_point asked{};
  SteadyClock::time_point admitted{};
};

struct Connection {
  std::size_t session = 0;
  wire::FrameReader reader;
  bool isWelcome = false;
};

class Sessions {
 public:
  Sessions() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) { control(EPOLL_CTL_ADD, STDIN_FILENO); }

  // Runs until the condition holds; `what` names it.
  template <typename Condition>
  void until(const std::string& what, Condition condition,
             std::chrono::milliseconds atMost = kPatience) {
    const auto end = SteadyClock::now() + atMost;
    while (!condition()) {
      if (SteadyClock::now() > end) fail(what + " took too long");
      turn(std::chrono::milliseconds(20));
    }
  }

  // Handles what is there. True: a command may be read.
  bool turn(std::chrono::milliseconds wait) {
    const bool isCommanded = handleReady(epoll_, sessions_.empty() ? wait : std::min(wait, kTurn),
                                         [this](int socket) { receive(socket); });
    beat();
    return isCommanded;
  }

  // Starts `count` sessions, `window` of them at a time; returns when all are done.
  std::vector<std::size_t> start(std::size_t count, std::size_t window, Session::Goal goal,
                                 const std::vector<Endpoint>& addresses) {
    std::vector<std::size_t> numbers;
    const std::size_t from = done_;
    for (const Endpoint& address : addresses) known(address);
    while (done_ - from < count) {
      while (numbers.size() < count && numbers.size() - (done_ - from) < window) {
        const std::size_t number = sessions_.size();
        Session session;
        session.goal = goal;
        session.join.id = PeerId::parse(fmt::format("peer{}", number + 1)).value();
        for (int i = 0; i < 4; ++i) {
          session.join.key.bytes[static_cast<std::size_t>(i)] =
              static_cast<std::uint8_t>((number + 1) >> (8 * i));
        }
        session.join.word = "P2P";
        sessions_.push_back(std::move(session));
        numbers.push_back(number);
        sessions_[number].current = dial(number, addresses[number % addresses.size()]);
        sessions_[number].home = addresses[number % addresses.size()];
      }
      turn(std::chrono::milliseconds(20));
    }
    return numbers;
  }

  void ask(std::size_t window) {
    std::vector<std::size_t> waiting;
    for (std::size_t i = 0; i < sessions_.size(); ++i) {
      if (sessions_[i].goal == Session::Goal::open && !sessions_[i].hasAsked) waiting.push_back(i);
    }
    const std::size_t from = done_;
    std::size_t asked = 0;
    while (done_ - from < waiting.size()) {
      while (asked < waiting.size() && asked - (done_ - from) < window) {
        Session& session = sessions_[waiting[asked++]];
        session.hasAsked = true;
        session.asked = SteadyClock::now();
        send(session.current, framed(wire::encode(wire::RegistryRequest(session.join))));
      }
      turn(std::chrono::milliseconds(20));
    }
  }

  void move(std::size_t count, double perSecond, const std::vector<Endpoint>& addresses) {
    const auto began = SteadyClock::now();
    const std::size_t from = moved_;
    if (count > sessions_.size()) fail("there are not so many members");
    for (std::size_t number = 0; number < count; ++number) {
      const auto at = began + std::chrono::duration_cast<SteadyClock::duration>(
                                  std::chrono::duration<double>(double(number) / perSecond));
      while (SteadyClock::now() < at) turn(std::chrono::milliseconds(1));
      const Session& session = sessions_[number];
      if (!session.isMember || session.next >= 0) fail("a session cannot be moved");
      const auto home = std::find(addresses.begin(), addresses.end(), session.home);
      takeRedirect(number, home == addresses.end() || home + 1 == addresses.end()
                               ? addresses.front()
                               : *(home + 1));
    }
    until("moving", [&] { return moved_ - from >= count; });
  }

  void reportLinks() {
    std::unordered_map<std::string, std::vector<PeerId>> neighbours;
    for (const Session& session : sessions_) {
      if (!session.isMember || !session.parent) continue;
      neighbours[session.join.id.text()].push_back(*session.parent);
      neighbours[session.parent->text()].push_back(session.join.id);
    }
    for (Session& session : sessions_) {
      if (!session.isMember) continue;
      session.join.parent = session.parent;
      session.join.neighbours = neighbours[session.join.id.text()];
      send(session.current, framed(wire::encode(wire::RegistryRequest(
                                wire::Links{session.parent, session.join.neighbours}))));
    }
  }

  // ms from each Join, and from each admission, until every address knows the newcomer.
  Json visible(std::size_t count, std::chrono::milliseconds gap,
               const std::vector<Endpoint>& addresses) {
    watchers_ = start(addresses.size(), addresses.size(), Session::Goal::watch, addresses);
    seen_.assign(watchers_.size(), {});
    isWaiting_.assign(watchers_.size(), false);
    const auto newcomers = start(count, count, Session::Goal::open, addresses);
    for (const std::size_t number : newcomers) {
      Session& session = sessions_[number];
      session.hasAsked = true;
      session.asked = SteadyClock::now();
      send(session.current, framed(wire::encode(wire::RegistryRequest(session.join))));
      const auto next = session.asked + gap;
      do {
        watch();
      } while (SteadyClock::now() < next);
    }
    const auto end = SteadyClock::now() + kPatience;
    Json fromJoin = Json::array();
    Json fromAdmission = Json::array();
    for (const std::size_t number : newcomers) {
      while (!sessions_[number].isMember || !seenAt(sessions_[number].join.order)) {
        if (SteadyClock::now() > end) fail("a newcomer is not visible at all metaservers");
        watch();
      }
      const Session& session = sessions_[number];
      const auto seen = *seenAt(session.join.order);
      fromJoin.push_back(Milliseconds(seen - session.asked).count());
      fromAdmission.push_back(std::max(0.0, Milliseconds(seen - session.admitted).count()));
    }
    watchers_.clear();
    return {{"from_join_ms", fromJoin}, {"from_admission_ms", fromAdmission}};
  }

  Json report() const {
    std::size_t members = 0;
    Json homes = Json::object();
    for (const Session& session : sessions_) {
      if (!session.isMember) continue;
      ++members;
      auto& count = homes[session.home.text()];
      count = (count.is_null() ? 0 : count.get<int>()) + 1;
    }
    return {{"members", members},
            {"moved", moved_},
            {"cut", cut_},
            {"changed", changed_},
            {"longest_move_ms", longestMove_},
            {"homes", homes}};
  }
  std::size_t moved() const { return moved_; }

 private:
  void control(int operation, int socket) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = socket;
    ::epoll_ctl(epoll_, operation, socket, &event);
  }

  void known(const Endpoint& address) {
    if (std::find(addresses_.begin(), addresses_.end(), address) == addresses_.end()) {
      addresses_.push_back(address);
    }
  }

  // A connection to it, with what the session's goal wants. -1: refused.
  int dial(std::size_t number, const Endpoint& to) {
    Session& session = sessions_[number];
    const int socket = dialFrom(number, to.port);
    if (socket < 0) return -1;
    std::string request = framed(wire::encode(wire::Hello{}));
    const bool asks = session.isMember || session.goal == Session::Goal::join ||
                      session.goal == Session::Goal::redirect;
    if (asks) {
      session.hasAsked = true;
      session.asked = SteadyClock::now();
      request += framed(wire::encode(wire::RegistryRequest(session.join)));
    }
    connections_[socket] = {number, {}, false};
    control(EPOLL_CTL_ADD, socket);
    send(socket, request);
    return socket;
  }

  static void send(int socket, const std::string& frames) {
    // What is lost with its connection is asked again elsewhere.
    (void)::send(socket, frames.data(), frames.size(), MSG_NOSIGNAL);
  }

  void close(int socket) {
    if (socket < 0) return;
    connections_.erase(socket);
    ::close(socket);
  }

  void receive(int socket) {
    if (!connections_.contains(socket)) return;
    char buffer[4096];
    const auto count = ::recv(socket, buffer, sizeof buffer, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return lost(socket);
    connections_[socket].reader.append({buffer, static_cast<std::size_t>(count)});
    while (true) {
      const auto found = connections_.find(socket);
      if (found == connections_.end()) return;  // closed by what arrived
      const auto frame = found->second.reader.next();
      if (!frame) fail("no frame: " + frame.error().message);
      if (!*frame) return;
      take(socket, found->second, **frame);
    }
  }

  void take(int socket, Connection& connection, std::string_view payload) {
    Session& session = sessions_[connection.session];
    if (!std::exchange(connection.isWelcome, true)) {
      if (const auto welcome = wire::decodeWelcome(payload); !welcome) {
        fail("not welcome: " + welcome.error().message);
      }
      if (!std::exchange(session.isWelcome, true)) {
        const bool isEnough =
            session.goal == Session::Goal::open || session.goal == Session::Goal::watch;
        if (isEnough) ++done_;
      }
      return;
    }
    auto reply = wire::decodeRegistryReply(payload);
    if (!reply) fail("no reply: " + reply.error().message);
    if (const auto* admitted = std::get_if<wire::Admitted>(&*reply)) {
      takeAdmitted(socket, connection.session, *admitted);
    } else if (const auto* redirect = std::get_if<wire::Redirect>(&*reply)) {
      takeRedirect(connection.session, redirect->to);
    } else if (const auto* members = std::get_if<wire::Members>(&*reply)) {
      takeMembers(connection.session, *members);
    } else if (const auto* beat = std::get_if<wire::RegistryHeartbeatReply>(&*reply)) {
      interval_ = beat->heartbeatInterval;
    } else if (const auto* failure = std::get_if<wire::Failure>(&*reply)) {
      fail("refused: " + failure->message);
    }
  }

  void takeAdmitted(int socket, std::size_t number, const wire::Admitted& admitted) {
    Session& session = sessions_[number];
    interval_ = admitted.heartbeatInterval;
    if (session.isMember) {
      if (admitted.self.order != session.join.order) ++changed_;
    } else {
      session.isMember = true;
      session.admitted = SteadyClock::now();
      ++done_;
    }
    session.join.network = admitted.network;
    session.join.order = admitted.self.order;
    session.join.listen = admitted.self.endpoint;
    if (admitted.referral.kind == wire::Referral::Kind::below) {
      session.parent = admitted.referral.parent.id;
    }
    if (socket != session.next) return;
    close(session.current);
    session.current = std::exchange(session.next, -1);
    session.home = session.nextHome;
    ++moved_;
    longestMove_ = std::max(longestMove_, Milliseconds(SteadyClock::now() - session.asked).count());
  }

  void takeRedirect(std::size_t number, const Endpoint& to) {
    Session& session = sessions_[number];
    if (session.goal == Session::Goal::redirect) {
      ++done_;
      return close(std::exchange(session.current, -1));
    }
    known(to);
    if (session.next >= 0) close(std::exchange(session.next, -1));
    session.nextHome = to;
    if (session.isMember) {
      session.next = dial(number, to);
      return;
    }
    close(session.current);
    session.home = to;
    session.current = dial(number, to);
  }

  // Another metaserver than the one that is gone is tried, as a peer does.
  void lost(int socket) {
    const std::size_t number = connections_[socket].session;
    Session& session = sessions_[number];
    const Endpoint gone = socket == session.next ? session.nextHome : session.home;
    close(socket);
    if (socket == session.current) {
      session.current = -1;
      if (session.next >= 0) return;  // the new home has it
      ++cut_;
    } else {
      session.next = -1;
      if (session.current >= 0) return;
    }
    if (!session.isMember) fail("a session was closed before it was a member");
    for (std::size_t i = 0; i < addresses_.size(); ++i) {
      const Endpoint& to = addresses_[(number + i) % addresses_.size()];
      if (to == gone) continue;
      session.nextHome = to;
      session.next = dial(number, to);
      if (session.next >= 0) return;
    }
  }

  void takeMembers(std::size_t session, const wire::Members& members) {
    for (std::size_t i = 0; i < watchers_.size(); ++i) {
      if (watchers_[i] != session) continue;
      isWaiting_[i] = false;
      if (seen_[i].empty() || seen_[i].back().second < members.newest) {
        seen_[i].emplace_back(SteadyClock::now(), members.newest);
      }
    }
  }

  void watch() {
    for (std::size_t i = 0; i < watchers_.size(); ++i) {
      if (isWaiting_[i]) continue;
      isWaiting_[i] = true;
      send(sessions_[watchers_[i]].current,
           framed(wire::encode(wire::RegistryRequest(wire::MembersRequest{}))));
    }
    turn(std::chrono::milliseconds(1));
    const auto until = SteadyClock::now() + std::chrono::milliseconds(1);
    if (std::count(isWaiting_.begin(), isWaiting_.end(), true) == 0) {
      while (SteadyClock::now() < until) turn(std::chrono::milliseconds(1));
    }
  }

  std::optional<SteadyClock::time_point> seenAt(JoinOrder order) const {
    SteadyClock::time_point last{};
    for (const auto& answers : seen_) {
      const auto first = std::find_if(answers.begin(), answers.end(),
                                      [&](const auto& one) { return one.second >= order; });
      if (first == answers.end()) return std::nullopt;
      last = std::max(last, first->first);
    }
    return last;
  }

  void beat() {
    static const std::string frame =
        framed(wire::encode(wire::RegistryRequest(wire::RegistryHeartbeat{})));
    const auto now = SteadyClock::now();
    while (beatAt_ < now) {
      beatAt_ = std::max(beatAt_ + SteadyClock::duration(interval_) / kBeatParts, now - interval_);
      part_ = (part_ + 1) % kBeatParts;
      for (std::size_t i = part_; i < sessions_.size(); i += kBeatParts) {
        const bool beats = sessions_[i].isWelcome && sessions_[i].current >= 0;
        if (beats) send(sessions_[i].current, frame);
      }
    }
  }

  int epoll_;
  std::vector<Session> sessions_;
  std::unordered_map<int, Connection> connections_;
  std::vector<Endpoint> addresses_;
  std::size_t done_ = 0;     // sessions that have reached their goal
  std::size_t moved_ = 0;    // members that are at another metaserver
  std::size_t cut_ = 0;      // connections that were closed before another one was begun
  std::size_t changed_ = 0;  // members that came back with another order
  double longestMove_ = 0;
  std::chrono::milliseconds interval_{2000};
  SteadyClock::time_point beatAt_{};
  std::size_t part_ = 0;
  std::vector<std::size_t> watchers_;
  std::vector<bool> isWaiting_;
  std::vector<std::vector<std::pair<SteadyClock::time_point, JoinOrder>>> seen_;
};

Json run(Sessions& sessions, const std::string& command, std::istringstream& words) {
  std::size_t count = 0;
  std::size_t window = 0;
  std::string addresses;
  const auto began = SteadyClock::now();
  Json told = Json::object();
  if (command == "join" || command == "open" || command == "redirects") {
    words >> count >> window >> addresses;
    const auto goal = command == "join"   ? Session::Goal::join
                      : command == "open" ? Session::Goal::open
                                          : Session::Goal::redirect;
    sessions.start(count, window, goal, endpointsOf(addresses));
  } else if (command == "ask") {
    words >> window;
    sessions.ask(window);
  } else if (command == "links") {
    sessions.reportLinks();
  } else if (command == "visible") {
    words >> count >> window >> addresses;
    told = sessions.visible(count, std::chrono::milliseconds(window), endpointsOf(addresses));
  } else if (command == "move") {
    words >> count >> window >> addresses;
    sessions.move(count, double(window), endpointsOf(addresses));
  } else if (command == "moved") {
    words >> count >> window;
    sessions.until(
        "moving", [&] { return sessions.moved() >= count; }, std::chrono::seconds(window));
  } else if (command == "report") {
    told = sessions.report();
  } else {
    fail("no such command: " + command);
  }
  told["seconds"] = std::chrono::duration<double>(SteadyClock::now() - began).count();
  return told;
}

}  // namespace

int main() {
  raiseDescriptors();
  Sessions sessions;
  while (true) {
    if (!sessions.turn(std::chrono::milliseconds(50))) continue;
    std::string line;
    if (!std::getline(std::cin, line) || line == "quit") return 0;
    std::istringstream words(line);
    std::string command;
    words >> command;
    std::cout << run(sessions, command, words).dump() << std::endl;
  }
}
