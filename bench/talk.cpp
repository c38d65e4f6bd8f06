// Members of a room, a thousand of them, held by one process: the load of bench/rooms, for our
// metaserver and for servers of IRC.
//
// Reads commands on standard input, one a line, and answers each with a line of JSON:
//
//   join espalier|irc HOST:PORT COUNT ROOM WINDOW
//                                            that many come in, WINDOW of them at a time; returns
//                                            when all are in the room
//   idle HOST:PORT COUNT ROOMS               that many come in, each in that many of 100 rooms
//   say SPEAKERS MESSAGES WINDOW BYTES       so many messages are under way at a time
//   pace SPEAKERS MESSAGES PER_SECOND BYTES  at that pace
//   quit
//
// Members get the same bytes, so a frame with messages is decoded once and then recognized.
// Otherwise the load, which would be slower than the server, would decide how many messages wait.
//
// Counted are messages that arrive at members other than their speaker. A message is complete when
// all of those have it. Latencies are from the sending of a message to each of its arrivals.
//
// Single-threaded, one epoll. A failure of the protocol ends the process with a sentence.
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <iostream>
#include <sstream>

#include "bench/load_socket.h"
#include "common/wire/registry_codec.h"

using namespace espalier;
using namespace espalier::bench;

namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(120);

struct Member {
  int socket = -1;
  std::string id;
  std::string unread;        // irc
  wire::FrameReader reader;  // espalier
  bool isWelcome = false;
  bool isIn = false;
  std::vector<wire::RoomWanted> rooms;  // by name
  std::size_t entered = 0;              // of them, with the lobby
  std::uint64_t counter = 0;
};

// A frame with messages, and what is in it.
struct Told {
  std::string payload;
  std::vector<std::pair<std::string, std::size_t>> messages;  // author, and which
};

struct Message {
  SteadyClock::time_point said;
  std::size_t arrived = 0;
};

class Talk {
 public:
  Talk() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) { watch(STDIN_FILENO, 0); }

  // True: a command may be read.
  bool turn(std::chrono::milliseconds wait) {
    std::array<epoll_event, 512> events;
    const int ready =
        ::epoll_wait(epoll_, events.data(), events.size(), static_cast<int>(wait.count()));
    bool isCommanded = false;
    for (int i = 0; i < ready; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      if (event.data.u64 == 0) {
        isCommanded = true;
      } else {
        receive(members_[event.data.u64 - 1]);
      }
    }
    beat();
    return isCommanded;
  }

  void join(bool isIrc, const Endpoint& server, std::size_t count, const std::string& room,
            std::size_t window) {
    isIrc_ = isIrc;
    room_ = room;
    members_.resize(count);
    for (Member& member : members_) member.rooms = {{RoomName::parse(room).value(), 0}};
    comeIn(server, window);
  }

  void idle(const Endpoint& server, std::size_t count, std::size_t rooms) {
    constexpr std::size_t kRoomsThere = 100;
    members_.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      auto& wanted = members_[i].rooms;
      for (std::size_t k = 0; k < rooms; ++k) {
        const auto number = (i * 7 + k * (kRoomsThere / rooms)) % kRoomsThere;
        wanted.push_back({RoomName::parse(fmt::format("room-{:02}", number)).value(), 0});
      }
      std::ranges::sort(wanted, {}, &wire::RoomWanted::room);
    }
    comeIn(server, 8, std::chrono::milliseconds(5));  // within the budget of the metaserver
  }

  Json say(std::size_t speakers, std::size_t count, std::size_t window, double perSecond,
           std::size_t bytes) {
    messages_.assign(count, {});
    told_ = {};
    latencies_.clear();
    arrivals_ = complete_ = acknowledged_ = 0;
    const auto began = SteadyClock::now();
    for (std::size_t i = 0; i < count; ++i) {
      if (perSecond > 0) {
        const auto at = began + std::chrono::duration_cast<SteadyClock::duration>(
                                    std::chrono::duration<double>(double(i) / perSecond));
        while (SteadyClock::now() < at) turn(std::chrono::milliseconds(1));
      } else {
        until("a message", [&] { return i - complete_ < window; });
      }
      sayOne(members_[i % speakers], i, bytes);
      turn(std::chrono::milliseconds(0));
    }
    until("the last messages", [&] { return complete_ == count; });
    const double seconds = std::chrono::duration<double>(SteadyClock::now() - began).count();
    std::sort(latencies_.begin(), latencies_.end());
    const auto part = [&](double which) {
      if (latencies_.empty()) return 0.0;
      return double(latencies_[static_cast<std::size_t>(which * double(latencies_.size() - 1))]);
    };
    return {{"deliveries", arrivals_}, {"seconds", seconds},    {"p50_ms", part(0.5)},
            {"p99_ms", part(0.99)},    {"longest_ms", part(1)}, {"acknowledged", acknowledged_}};
  }

 private:
  void comeIn(const Endpoint& server, std::size_t window, std::chrono::milliseconds pause = {}) {
    const auto began = SteadyClock::now();
    for (std::size_t i = 0; i < members_.size(); ++i) {
      while (SteadyClock::now() < began + i * pause) turn(std::chrono::milliseconds(1));
      Member& member = members_[i];
      member.id = fmt::format("m{}", i + 1);
      member.socket = dialFrom(i, server.port);
      if (member.socket < 0) fail("the server refuses connections");
      watch(member.socket, i + 1);
      send(member, isIrc_ ? fmt::format("NICK {0}\r\nUSER {0} 0 * :{0}\r\n", member.id)
                          : framed(wire::encode(wire::Hello{})) + request(joinOf(member, i)));
      until("coming in", [&] { return in_ + window > i; });
    }
    until("coming in", [&] { return in_ == members_.size(); });
  }

  template <typename Condition>
  void until(const char* what, Condition condition) {
    const auto end = SteadyClock::now() + kPatience;
    while (!condition()) {
      if (SteadyClock::now() > end) fail(std::string(what) + " took too long");
      turn(std::chrono::milliseconds(20));
    }
  }

  void watch(int socket, std::uint64_t number) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = number;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event);
  }

  static void send(const Member& member, std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(member.socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0) failWithErrno("a member cannot send");
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  static std::string request(const wire::RegistryRequest& message) {
    return framed(wire::encode(message));
  }

  static wire::RegistryRequest joinOf(const Member& member, std::size_t number) {
    wire::Join join;
    join.id = PeerId::parse(member.id).value();
    for (int i = 0; i < 4; ++i) {
      join.key.bytes[static_cast<std::size_t>(i)] =
          static_cast<std::uint8_t>((number + 1) >> (8 * i));
    }
    join.word = "P2P";
    return join;
  }

  RoomName room() const { return RoomName::parse(room_).value(); }

  void sayOne(Member& member, std::size_t index, std::size_t bytes) {
    std::string text = fmt::format("{} ", index);
    text.resize(std::max(text.size(), bytes), 'x');
    messages_[index].said = SteadyClock::now();
    if (isIrc_) return send(member, fmt::format("PRIVMSG #{} :{}\r\n", room_, text));
    wire::RoomSay say{room(), {}, std::move(text)};
    say.id.speaker.bytes.fill(1);
    std::copy(member.id.begin(), member.id.end(), say.id.speaker.bytes.begin());
    say.id.counter = ++member.counter;
    send(member, request(wire::RoomRequest(std::move(say))));
  }

  void receive(Member& member) {
    std::array<char, 65536> buffer;
    const auto count = ::recv(member.socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) fail("the server closed the connection of " + member.id);
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(count));
    isIrc_ ? takeLines(member, bytes) : takeFrames(member, bytes);
  }

  void takeLines(Member& member, std::string_view bytes) {
    member.unread.append(bytes);
    std::size_t from = 0;
    while (true) {
      const auto end = member.unread.find('\n', from);
      if (end == std::string::npos) break;
      takeLine(member, std::string_view(member.unread).substr(from, end - from));
      from = end + 1;
    }
    member.unread.erase(0, from);
  }

  void takeLine(Member& member, std::string_view line) {
    if (line.starts_with("PING")) {
      return send(member, "PONG" + std::string(line.substr(4)) + "\n");
    }
    if (line.starts_with("ERROR")) fail("the server says " + std::string(line));
    const auto space = line.find(' ');
    if (space == std::string_view::npos) return;
    const auto rest = line.substr(space + 1);
    if (rest.starts_with("PRIVMSG")) {
      const auto text = rest.find(" :");
      if (text == std::string_view::npos) return;
      if (const auto index = indexOf(rest.substr(text + 2))) arrived(*index);
    } else if (rest.starts_with("001 ")) {
      send(member, fmt::format("JOIN #{}\r\n", room_));
    } else if (rest.starts_with("366 ")) {
      come(member);
    }
  }

  void takeFrames(Member& member, std::string_view bytes) {
    member.reader.append(bytes);
    while (true) {
      const auto frame = member.reader.next();
      if (!frame) fail("no frame: " + frame.error().message);
      if (!*frame) return;
      if (!std::exchange(member.isWelcome, true)) continue;
      const auto known = std::ranges::find(told_, **frame, &Told::payload);
      if (known != told_.end()) {
        arrived(member, *known);
        continue;
      }
      const auto reply = wire::decodeRegistryReply(**frame);
      if (!reply) fail("no reply: " + reply.error().message);
      take(member, **frame, *reply);
    }
  }

  void take(Member& member, std::string_view payload, const wire::RegistryReply& reply) {
    if (const auto* beaten = std::get_if<wire::RegistryHeartbeatReply>(&reply)) {
      interval_ = beaten->heartbeatInterval;
    } else if (const auto* admitted = std::get_if<wire::Admitted>(&reply)) {
      interval_ = admitted->heartbeatInterval;
      send(member, request(wire::RoomRequest(wire::RoomsWanted{1, member.rooms})));
      auto rooms = member.rooms;
      rooms.push_back({RoomName::parse("lobby").value(), 0});
      for (const auto& wanted : rooms) {
        const wire::RoomAsk ask{wanted.room, 1, wire::RoomAsk::From::now, {}, 0};
        send(member, request(wire::RoomRequest(ask)));
      }
      return;
    }
    if (const auto* failure = std::get_if<wire::Failure>(&reply)) fail(failure->message);
    const auto* about = std::get_if<wire::RoomReply>(&reply);
    if (about == nullptr) return;
    if (const auto* state = std::get_if<wire::RoomState>(about)) {
      if (!state->refused.empty()) fail(state->refused);
      if (++member.entered == member.rooms.size() + 1) come(member);
    } else if (const auto* said = std::get_if<wire::RoomSaidReply>(about)) {
      if (said->number == 0) fail("refused: " + said->why);
      ++acknowledged_;
    } else if (const auto* messages = std::get_if<wire::RoomMessages>(about)) {
      if (messages->room.text() != room_) return;
      Told& told = told_[toldAt_++ % told_.size()];
      told = {std::string(payload), {}};
      for (const auto& entry : messages->entries) {
        if (const auto index = indexOf(entry.text)) {
          told.messages.emplace_back(entry.author.text(), *index);
        }
      }
      arrived(member, told);
    }
  }

  void come(Member& member) {
    if (!std::exchange(member.isIn, true)) ++in_;
  }

  std::optional<std::size_t> indexOf(std::string_view text) const {
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    if (error != std::errc() || index >= messages_.size()) return std::nullopt;
    return index;
  }

  void arrived(const Member& member, const Told& told) {
    for (const auto& [author, index] : told.messages) {
      if (author != member.id) arrived(index);
    }
  }

  void arrived(std::size_t index) {
    Message& message = messages_[index];
    ++arrivals_;
    latencies_.push_back(static_cast<float>(
        std::chrono::duration<double, std::milli>(SteadyClock::now() - message.said).count()));
    if (++message.arrived == members_.size() - 1) ++complete_;
  }

  // One member after the other tells that it is there, as often as the metaserver says.
  void beat() {
    if (isIrc_ || members_.empty()) return;
    static const std::string frame = request(wire::RegistryHeartbeat{});
    const auto now = SteadyClock::now();
    while (beatAt_ < now) {
      beatAt_ = std::max(beatAt_ + interval_ / static_cast<int>(members_.size()), now - interval_);
      const Member& member = members_[beats_++ % members_.size()];
      if (member.isIn) send(member, frame);
    }
  }

  int epoll_;
  bool isIrc_ = false;
  std::string room_;
  std::vector<Member> members_;
  std::size_t in_ = 0;
  std::vector<Message> messages_;
  std::array<Told, 16> told_;  // the last ones
  std::size_t toldAt_ = 0;
  std::vector<float> latencies_;
  std::size_t arrivals_ = 0;
  std::size_t complete_ = 0;
  std::size_t acknowledged_ = 0;
  SteadyClock::duration interval_ = std::chrono::seconds(1);
  SteadyClock::time_point beatAt_{};
  std::size_t beats_ = 0;
};

Json run(Talk& talk, std::istringstream& words) {
  std::string command;
  words >> command;
  if (command == "idle") {
    std::string address;
    std::size_t count = 0, rooms = 0;
    words >> address >> count >> rooms;
    const auto server = Endpoint::parse(address);
    if (!server || rooms > limits::kRoomsOfPeer) fail("idle HOST:PORT COUNT ROOMS");
    talk.idle(*server, count, rooms);
    return Json::object();
  }
  if (command == "join") {
    std::string protocol, address, room;
    std::size_t count = 0, window = 0;
    words >> protocol >> address >> count >> room >> window;
    const auto server = Endpoint::parse(address);
    if (!server || count < 2 || window < 1) fail("join espalier|irc HOST:PORT COUNT ROOM WINDOW");
    talk.join(protocol == "irc", *server, count, room, window);
    return Json::object();
  }
  std::size_t speakers = 0, messages = 0, third = 0, bytes = 0;
  words >> speakers >> messages >> third >> bytes;
  if (command == "say") return talk.say(speakers, messages, third, 0, bytes);
  if (command == "pace") return talk.say(speakers, messages, 0, double(third), bytes);
  fail("no such command: " + command);
}

}  // namespace

int main() {
  raiseDescriptors();
  Talk talk;
  while (true) {
    if (!talk.turn(std::chrono::milliseconds(50))) continue;
    std::string line;
    if (!std::getline(std::cin, line) || line == "quit") return 0;
    std::istringstream words(line);
    std::cout << run(talk, words).dump() << std::endl;
  }
}
