// A network of meshes on a virtual clock, for tests: delays, cuts, stalls, kills and restarts. Each
// metaserver has a shell that dials whom it knows every second, and at once when a connection ends.
// Messages keep their order on a connection. What meets a cut waits until the cut ends, as TCP
// sends it again. The same seed makes the same run.
#pragma once

#include <doctest/doctest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "metaserver/core/cluster/mesh.h"

namespace espalier::test {

using namespace std::chrono_literals;
using metaserver::cluster::CloseReason;
using metaserver::cluster::Mesh;
using metaserver::cluster::MeshEffects;

inline wire::Introduction introductionOf(metaserver::cluster::Mesh& mesh, std::uint64_t dial) {
  wire::Introduction introduction;
  introduction.state = mesh.introduce();
  introduction.dial = dial;
  return introduction;
}

class MeshNetwork {
 public:
  struct Told {
    TimePoint at;
    std::string text;
  };

  MeshNetwork(std::size_t count, std::uint64_t seed) : random_(seed), servers_(count) {
    for (std::size_t i = 0; i < count; ++i) {
      Server& server = servers_[i];
      // Numbers are not in the order of the indices.
      server.number = ServerNumber{static_cast<std::uint16_t>(1 + (i * 3 + 2) % 7)};
      server.known.insert(0);  // also itself: as if its own address was given
      server.dialAt = now_ + within(0ms, 1s);
      start(i);
    }
  }

  // --- faults ---
  void start(std::size_t i, std::chrono::milliseconds clockError = 0ms) {
    Server& server = servers_[i];
    ++server.run;
    server.runs = server.machineRuns = true;
    server.stalledUntil = now_;
    wire::ServerState self;
    self.name = nameOf(i);
    self.number = server.number;
    self.address = {"127.0.0.1", static_cast<std::uint16_t>(5000 + i)};
    const auto sinceStart =
        std::chrono::duration_cast<std::chrono::milliseconds>(now_ - TimePoint{});
    self.started = 1'000'000s + sinceStart + clockError + std::chrono::milliseconds(i);
    server.mesh = std::make_unique<Mesh>(self, now_);
  }
  // The process ends. Without `silently` the others' connections end; otherwise the machine is
  // gone.
  void kill(std::size_t i, bool silently) {
    Server& server = servers_[i];
    server.runs = false;
    server.machineRuns = !silently;
    server.mesh.reset();
    server.inbox.clear();
    for (const auto& line : std::map(server.lines)) {
      if (!silently) send(line.second.line, line.second.side, Fin{});
      line.second.line->open[line.second.side] = false;
    }
    server.lines.clear();
    server.dialling.clear();
  }
  // The process stands still.
  void stall(std::size_t i, Duration time) {
    servers_[i].stalledUntil = std::max(servers_[i].stalledUntil, now_ + time);
  }
  // Nothing goes from one to the other any more.
  void cut(std::size_t from, std::size_t to) { cuts_.insert({from, to}); }
  void heal(std::size_t from, std::size_t to) {
    cuts_.erase({from, to});
    const auto held = std::exchange(held_[{from, to}], {});
    for (const auto& one : held) send(one.line, one.side, one.message);
  }
  void healAll() {
    for (const auto& [from, to] : std::set(cuts_)) heal(from, to);
  }
  // One connection ends, without a reason. Both ends notice.
  void breakOne() {
    Server& server = servers_[below(servers_.size())];
    if (server.lines.empty()) return;
    const End end =
        std::next(server.lines.begin(), static_cast<std::ptrdiff_t>(below(server.lines.size())))
            ->second;
    for (const int side : {0, 1}) arrive(end.line, side, Fin{}, now_ + within(0ms, 50ms));
  }

  // --- time ---
  void run(Duration time) {
    const TimePoint end = now_ + time;
    while (true) {
      TimePoint next = end;
      if (!events_.empty()) next = std::min(next, events_.top().at);
      for (const Server& server : servers_) {
        if (server.runs) next = std::min(next, dueAt(server));
      }
      REQUIRE(next >= now_);
      if (next == end && next > now_ && !isDue(end)) {
        now_ = end;
        return;
      }
      now_ = next;
      step();
      if (now_ >= end && !isDue(end)) return;
    }
  }

  // --- queries ---
  std::size_t size() const { return servers_.size(); }
  TimePoint now() const { return now_; }
  bool runs(std::size_t i) const { return servers_[i].runs; }
  const Mesh& mesh(std::size_t i) const { return *servers_[i].mesh; }
  bool isCut(std::size_t from, std::size_t to) const { return cuts_.contains({from, to}); }
  // Whether a link between them can be up.
  bool canLink(std::size_t a, std::size_t b) const {
    return a != b && runs(a) && runs(b) && !isCut(a, b) && !isCut(b, a);
  }
  std::size_t indexOf(ServerNumber number) const {
    std::size_t i = 0;
    while (servers_[i].number != number) ++i;
    return i;
  }
  ServerNumber numberOf(std::size_t i) const { return servers_[i].number; }
  const std::vector<Told>& told(std::size_t i) const { return servers_[i].told; }
  void forgetTold() {
    for (Server& server : servers_) server.told.clear();
  }
  // The open connections between two, as the first sees them.
  std::size_t connectionsBetween(std::size_t a, std::size_t b) const {
    std::size_t count = 0;
    for (const auto& [id, end] : servers_[a].lines) count += end.line->server[1 - end.side] == b;
    return count;
  }
  // Whether both keep the same connection.
  bool keepSame(std::size_t a, std::size_t b) const {
    const auto atA = mesh(a).connectionTo(numberOf(b));
    const auto atB = mesh(b).connectionTo(numberOf(a));
    if (!atA || !atB) return false;
    const auto endA = servers_[a].lines.find(*atA);
    const auto endB = servers_[b].lines.find(*atB);
    if (endA == servers_[a].lines.end() || endB == servers_[b].lines.end()) return false;
    return endA->second.line == endB->second.line;
  }
  std::size_t below(std::size_t bound) { return random_() % bound; }
  bool chance(double probability) {
    return std::uniform_real_distribution<>(0, 1)(random_) < probability;
  }
  Duration within(Duration least, Duration most) {
    const auto spread = static_cast<std::uint64_t>((most - least).count()) + 1;
    return least + Duration(random_() % spread);
  }

 private:
  struct Fin {};
  using Message = std::variant<wire::Introduction, wire::Beat, Fin>;
  // A connection. Side 0 has dialled.
  struct Line {
    std::size_t server[2];
    unsigned run[2] = {0, 0};
    ConnectionId id[2]{};
    bool open[2] = {true, true};
    bool accepted = false;
    bool introduced[2] = {false, false};  // the mesh of that side knows the connection
    std::uint64_t dial = 0;
    TimePoint arrival[2]{};  // of the latest message to that side
  };
  using LinePtr = std::shared_ptr<Line>;
  struct End {
    LinePtr line;
    int side;
  };
  struct Held {
    LinePtr line;
    int side;
    Message message;
  };
  struct Server {
    ServerNumber number{};
    std::unique_ptr<Mesh> mesh;
    unsigned run = 0;
    bool runs = false;
    bool machineRuns = false;
    TimePoint stalledUntil{};
    std::deque<std::function<void()>> inbox;  // arrived while it stood still
    std::map<ConnectionId, End> lines;
    std::set<std::size_t> known;  // whom it dials
    std::set<std::size_t> dialling;
    TimePoint dialAt{};
    std::uint64_t dials = 0;
    std::uint64_t ids = 0;
    std::vector<Told> told;
  };
  struct Event {
    TimePoint at;
    std::uint64_t order;
    std::function<void()> happen;
    bool operator<(const Event& other) const {
      return std::tie(at, order) > std::tie(other.at, other.order);
    }
  };

  static ServerName nameOf(std::size_t i) {
    return ServerName::parse("m" + std::to_string(5000 + i)).value();
  }
  void at(TimePoint time, std::function<void()> happen) {
    events_.push({time, ++order_, std::move(happen)});
  }
  static TimePoint dueAt(const Server& server) {
    return std::max(server.stalledUntil, std::min(server.mesh->deadline(), server.dialAt));
  }
  bool isDue(TimePoint time) const {
    if (!events_.empty() && events_.top().at <= time) return true;
    for (const Server& server : servers_) {
      if (!server.runs) continue;
      if (dueAt(server) <= time) return true;
      if (!server.inbox.empty() && server.stalledUntil <= time) return true;
    }
    return false;
  }
  void step() {
    while (!events_.empty() && events_.top().at <= now_) {
      const auto happen = events_.top().happen;
      events_.pop();
      happen();
    }
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      Server& server = servers_[i];
      if (!server.runs || now_ < server.stalledUntil) continue;
      if (chance(0.5)) tick(i);  // behind a stall either may come first
      while (server.runs && !server.inbox.empty()) {
        const auto happen = std::move(server.inbox.front());
        server.inbox.pop_front();
        happen();
      }
      tick(i);
      if (now_ >= server.dialAt) dialAll(i);
    }
  }
  void tick(std::size_t i) {
    if (servers_[i].mesh->deadline() > now_) return;
    MeshEffects fx;
    servers_[i].mesh->tick(now_, fx);
    carryOut(i, fx);
  }
  void carryOut(std::size_t i, MeshEffects& fx) {
    Server& server = servers_[i];
    const auto checked = server.mesh->checkInvariants();
    CHECK_MESSAGE(checked.ok(), (checked.ok() ? "" : checked.error().message));
    CHECK(server.mesh->deadline() > now_);
    for (const auto& one : server.mesh->unconnected()) server.known.insert(indexOf(one.number));
    for (const auto& one : fx.beats) {
      for (const ConnectionId to : one.to) {
        const auto end = server.lines.find(to);
        REQUIRE_MESSAGE(end != server.lines.end(), "a beat on a connection that is not open");
        send(end->second.line, end->second.side, one.beat);
      }
    }
    for (const auto& one : fx.closes) {
      const auto end = server.lines.find(one.connection);
      REQUIRE_MESSAGE(end != server.lines.end(), "closes a connection that is not open");
      const End closing = end->second;
      if (one.reason == CloseReason::itself) server.known.erase(i);
      endLine(closing.line, closing.side);
      send(closing.line, closing.side, Fin{});
    }
    for (const auto& one : fx.notices) server.told.push_back({now_, one.text});
  }
  void endLine(const LinePtr& line, int side) {
    Server& server = servers_[line->server[side]];
    line->open[side] = false;
    server.lines.erase(line->id[side]);
    if (side == 0) server.dialling.erase(line->server[1]);
  }

  void dialAll(std::size_t i) {
    Server& server = servers_[i];
    server.dialAt = now_ + 1s;
    for (const std::size_t to : std::set(server.known)) {
      const bool isLinked = to != i && server.mesh->connectionTo(servers_[to].number);
      if (!isLinked && !server.dialling.contains(to)) dial(i, to);
    }
  }
  void dial(std::size_t from, std::size_t to) {
    Server& server = servers_[from];
    auto line = std::make_shared<Line>();
    line->server[0] = from;
    line->server[1] = to;
    line->run[0] = server.run;
    line->id[0] = ConnectionId{2 * ++server.ids + 1};
    line->dial = ++server.dials;
    server.dialling.insert(to);
    server.lines[line->id[0]] = {line, 0};
    send(line, 0, introductionOf(*server.mesh, line->dial));
    at(now_ + 2s, [this, line, run = server.run] {
      const Server& dialler = servers_[line->server[0]];
      if (!line->open[0] || line->introduced[0] || dialler.run != run) return;
      endLine(line, 0);
      send(line, 0, Fin{});
    });
  }

  void send(const LinePtr& line, int side, Message message) {
    const std::size_t from = line->server[side];
    const std::size_t to = line->server[1 - side];
    if (isCut(from, to)) {
      held_[{from, to}].push_back({line, side, std::move(message)});
      return;
    }
    const Duration delay = within(1ms, 20ms) + (chance(0.02) ? within(0ms, 150ms) : 0ms);
    arrive(line, 1 - side, std::move(message), now_ + delay);
  }
  void arrive(const LinePtr& line, int side, Message message, TimePoint time) {
    line->arrival[side] = std::max(time, line->arrival[side]);
    at(line->arrival[side], [this, line, side, message = std::move(message)] {
      Server& server = servers_[line->server[side]];
      const bool isThere = server.runs && (!line->accepted || line->run[side] == server.run);
      if (!isThere) {
        const bool isFin = std::holds_alternative<Fin>(message);
        if (server.machineRuns && !isFin) send(line, side, Fin{});
        return;
      }
      if (now_ < server.stalledUntil) {
        server.inbox.push_back([this, line, side, message] { handle(line, side, message); });
        return;
      }
      handle(line, side, message);
    });
  }
  void handle(const LinePtr& line, int side, const Message& message) {
    const std::size_t i = line->server[side];
    Server& server = servers_[i];
    if (!line->open[side] || (line->accepted && line->run[side] != server.run)) return;
    MeshEffects fx;
    if (std::holds_alternative<Fin>(message)) {
      if (side == 1 && !line->accepted) {
        line->open[1] = false;
        return;
      }
      endLine(line, side);
      server.dialAt = std::min(server.dialAt, now_ + within(0ms, 50ms));
      if (!line->introduced[side]) return;
      server.mesh->closed(line->id[side], now_, fx);
    } else if (const auto* beat = std::get_if<wire::Beat>(&message)) {
      server.mesh->received(line->id[side], *beat, now_, fx);
    } else {
      const auto& introduction = std::get<wire::Introduction>(message);
      if (side == 1) {
        line->accepted = true;
        line->run[1] = server.run;
        line->id[1] = ConnectionId{2 * ++server.ids};
        server.lines[line->id[1]] = {line, 1};
        send(line, 1, introductionOf(*server.mesh, 0));
      } else {
        server.dialling.erase(line->server[1]);
      }
      line->introduced[side] = true;
      server.mesh->opened({line->id[side], side == 0, line->dial, introduction.state}, now_, fx);
    }
    carryOut(i, fx);
  }

  std::mt19937_64 random_;
  TimePoint now_{};
  std::vector<Server> servers_;
  std::priority_queue<Event> events_;
  std::uint64_t order_ = 0;
  std::set<std::pair<std::size_t, std::size_t>> cuts_;
  std::map<std::pair<std::size_t, std::size_t>, std::vector<Held>> held_;
};

}  // namespace espalier::test
