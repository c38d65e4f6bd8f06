// Peers that send each other private messages, for tests: real cores, disks that lose what is not
// durable at a crash, connections that break, and a metaserver that says who has which id.
// A virtual clock; the same seed gives the same run. Faults can be planted.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/limits.h"
#include "peer/core/private/private_messages.h"

namespace espalier::test {

using namespace std::chrono_literals;

inline InstanceHash instanceOf(unsigned number) {
  InstanceHash hash;
  hash.bytes.fill(static_cast<std::uint8_t>(number + 1));
  return hash;
}

// What a database does with writes.
class PrivateDisk {
 public:
  struct Row {
    InstanceHash with;
    bool isSent = false;
    std::uint64_t number = 0;
    std::chrono::milliseconds at{};
    std::string state;
    std::string text;
  };
  struct Head {
    PeerId id;
    std::uint64_t stream = 0, sent = 0, theirStream = 0, received = 0, used = 0;
    PeerId writtenTo = {};
  };
  enum class Fault { none, forgetsReceived, forgetsSent };

  Fault fault = Fault::none;
  std::map<InstanceHash, Head> heads;
  std::map<peer::PrivatePosition, Row> rows;
  std::vector<peer::Ignored> ignored;

  void apply(const peer::PrivateWrite& write) {
    std::visit([this](const auto& what) { put(what); }, write.what);
  }

  peer::PrivateState state() const {
    peer::PrivateState state;
    state.ignored = ignored;
    std::vector<std::pair<std::uint64_t, InstanceHash>> byUse;
    for (const auto& [with, head] : heads) byUse.emplace_back(head.used, with);
    std::sort(byUse.begin(), byUse.end());
    for (const auto& [used, with] : byUse) {
      const Head& head = heads.at(with);
      peer::PrivateState::Conversation conversation{
          with,          head.id, head.stream, head.sent,     head.theirStream,
          head.received, {},      {},          head.writtenTo};
      for (const auto& [position, row] : rows) {
        if (row.with != with) continue;
        conversation.messages.push_back({position, static_cast<std::uint32_t>(row.text.size())});
        if (row.state != "waiting") continue;
        conversation.waiting.push_back({position, row.number, row.at, row.text});
      }
      state.conversations.push_back(std::move(conversation));
    }
    return state;
  }

 private:
  void put(const peer::KeepSent& kept) {
    Head& head = heads[kept.to];
    head.id = kept.id;
    head.stream = kept.stream;
    if (fault != Fault::forgetsSent) head.sent = kept.number;
    head.used = kept.position;
    head.writtenTo = kept.writtenTo;
    rows[kept.position] = {kept.to, true, kept.number, kept.at, "waiting", kept.text};
  }
  void put(const peer::EndSent& ended) {
    const auto row = rows.find(ended.position);
    if (row != rows.end()) row->second.state = ended.isDelivered ? "delivered" : "given up";
  }
  void put(const peer::RenumberSent& all) {
    heads[all.to].stream = all.stream;
    heads[all.to].sent = all.numbers.size();
    for (const auto& [position, number] : all.numbers) rows[position].number = number;
  }
  void put(const peer::KeepReceived& kept) {
    Head& head = heads[kept.from];
    head.id = kept.id;
    head.theirStream = kept.stream;
    if (fault != Fault::forgetsReceived) head.received = kept.number;
    head.used = kept.position;
    rows[kept.position] = {kept.from, false, kept.number, kept.at, "received", kept.text};
  }
  void put(const peer::DropMessage& dropped) { rows.erase(dropped.position); }
  void put(const peer::DropConversation& dropped) {
    heads.erase(dropped.with);
    std::erase_if(rows, [&](const auto& row) { return row.second.with == dropped.with; });
  }
  void put(const peer::ChangeIgnored& changed) {
    std::erase(ignored, changed.who);
    if (changed.isIgnored) ignored.push_back(changed.who);
  }
};

class PrivateWorld {
 public:
  enum class Fault { none, acknowledgesEarly, forgetsReceived, forgetsSent, otherInstance };

  struct Node {
    unsigned number = 0;     // of the instance
    std::uint64_t life = 0;  // counts the starts
    PeerId id;
    std::string host;
    PrivateDisk disk;
    std::deque<peer::PrivateWrite> writing;  // not durable yet
    bool isDiskStuck = false;
    bool isMember = false;  // as the metaserver sees it
    std::unique_ptr<Budget> budget;
    std::unique_ptr<peer::ConnectionNumbers> numbers;
    std::unique_ptr<peer::PrivateMessages> core;  // null: not running
    std::uint64_t accepted = 0;
    std::uint64_t questions = 0;
    std::vector<peer::PrivateUpdate> updates;  // all but received ones, of this life
    std::vector<std::string> shown;            // of all lives
    std::vector<std::string> marked;           // of those: another instance had the id before
    std::vector<std::string> warnings;
  };

  explicit PrivateWorld(std::uint64_t seed, Fault fault = Fault::none)
      : random(seed), fault_(fault) {}

  Random random;
  TimePoint now{1h};
  std::map<unsigned, Node> nodes;
  bool isMetaserverReachable = true;
  std::vector<std::string> problems;  // what no run may have

  Node& add(unsigned number, std::string_view id) {
    Node& node = nodes[number];
    node.number = number;
    node.id = *PeerId::parse(id);
    node.host = fmt::format("10.0.0.{}", number + 1);
    if (fault_ == Fault::forgetsReceived) node.disk.fault = PrivateDisk::Fault::forgetsReceived;
    if (fault_ == Fault::forgetsSent) node.disk.fault = PrivateDisk::Fault::forgetsSent;
    start(node);
    return node;
  }

  void start(Node& node) {
    node.budget = std::make_unique<Budget>();
    node.numbers = std::make_unique<peer::ConnectionNumbers>();
    ++node.life;
    node.updates.clear();
    node.isMember = true;
    const auto wall = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch() +
                                                                            24h * 20'000);
    node.core = std::make_unique<peer::PrivateMessages>(
        contactOf(node),
        peer::PrivateMessages::Options{instanceOf(node.number), node.disk.state(), wall},
        *node.numbers, random, *node.budget, now);
  }

  // What is not durable is lost.
  void crash(Node& node) {
    node.core.reset();
    node.writing.clear();
    node.isMember = false;
    for (auto& pipe : pipes_) {
      if (pipe.isOpen && (pipe.from == node.number || pipe.to == node.number)) cut(pipe);
    }
  }

  std::uint64_t send(Node& node, std::string_view to, std::string text, bool isNew = false) {
    const auto request = ++requests_;
    step(node, [&](peer::Effects& fx) {
      node.core->send({request, *PeerId::parse(to), std::move(text), isNew}, now, fx);
    });
    return request;
  }
  const peer::PrivateUpdate* update(const Node& node, std::uint64_t request) const {
    for (const auto& each : node.updates) {
      if (each.request == request) return &each;
    }
    return nullptr;
  }

  template <typename Event>
  void step(Node& node, Event&& event) {
    peer::Effects fx;
    event(fx);
    carryOut(node, fx);
  }

  // One thing that is due happens: something arrives, a write becomes durable, time passes.
  void happen() {
    std::erase_if(pipes_, [](const Pipe& pipe) { return !pipe.isOpen && pipe.coming.empty(); });
    std::vector<std::size_t> arriving;
    for (std::size_t i = 0; i < pipes_.size(); ++i) {
      if (!pipes_[i].coming.empty()) arriving.push_back(i);
    }
    std::vector<Node*> writing;
    for (auto& [number, node] : nodes) {
      if (!node.writing.empty() && !node.isDiskStuck && node.core) writing.push_back(&node);
    }
    const std::size_t choices = arriving.size() + writing.size();
    if (choices == 0 || random() % 8 == 0) return pass(choices == 0 ? 100ms : 1ms);
    const std::size_t chosen = random() % choices;
    if (chosen < arriving.size()) {
      arrive(arriving[chosen]);
    } else {
      makeDurable(*writing[chosen - arriving.size()]);
    }
  }
  void run(Duration time) {
    const TimePoint until = now + time;
    for (int i = 0; i < 100'000 && now < until; ++i) happen();
  }
  void pass(Duration time) {
    now += time;
    for (auto& [number, node] : nodes) {
      if (node.core && node.core->deadline() <= now) {
        step(node, [&, &each = node](peer::Effects& fx) { each.core->tick(now, fx); });
      }
    }
  }
  void cutOne() {
    for (auto& pipe : pipes_) {
      if (pipe.isOpen && random() % 2 == 0) return cut(pipe);
    }
  }
  void makeDurable(Node& node) {
    // A batch, as the database does it.
    std::size_t count = 1 + random() % node.writing.size();
    std::uint64_t ticket = 0;
    for (; count > 0; --count) {
      ticket = node.writing.front().ticket;
      node.disk.apply(node.writing.front());
      node.writing.pop_front();
    }
    if (fault_ == Fault::acknowledgesEarly) return;
    step(node, [&](peer::Effects& fx) { node.core->stored(ticket, now, fx); });
  }

  // A connection of somebody who is no peer.
  ConnectionId intrude(Node& node, std::string host) {
    const ConnectionId connection{++node.accepted * 2};
    hosts_[{node.number, connection}] = host;
    step(node, [&](peer::Effects& fx) { accept(node, connection, host, fx); });
    return connection;
  }
  void say(Node& node, ConnectionId connection, wire::PrivateFrame frame) {
    step(node, [&](peer::Effects& fx) { node.core->received(connection, frame, now, fx); });
  }
  std::vector<std::pair<ConnectionId, wire::PrivateFrame>> unheard;  // sent to intruders
  std::set<ConnectionId> closedIntruders;

  std::vector<std::string> textsOn(const Node& node, bool isSent) const {
    std::vector<std::string> texts;
    for (const auto& [position, row] : node.disk.rows) {
      if (row.isSent == isSent) texts.push_back(row.text);
    }
    return texts;
  }

  wire::Contact contactOf(const Node& node) const {
    return {node.id, JoinOrder{node.number + 1}, {node.host, 5001}, instanceOf(node.number)};
  }

 private:
  struct Arrival {
    enum class Kind { opened, failed, frame, end };
    bool isForDialler = false;
    Kind kind = Kind::end;
    wire::PrivateFrame frame = {};
  };
  struct Pipe {
    unsigned from = 0;
    unsigned to = 0;
    std::uint64_t fromLife = 0;
    std::uint64_t toLife = 0;
    ConnectionId dialled{};
    ConnectionId accepted{};
    bool isOpen = true;
    std::deque<Arrival> coming;
  };

  Node* memberOf(const PeerId& id) {
    for (auto& [number, node] : nodes) {
      if (node.isMember && node.id == id) return &node;
    }
    return nullptr;
  }

  void carryOut(Node& node, peer::Effects& fx) {
    if (auto sound = node.core->book().checkInvariants(); !sound) {
      problems.push_back(sound.error().message);
    }
    std::uint64_t early = 0;
    for (auto& write : fx.privateWrites) {
      early = write.ticket;
      node.writing.push_back(std::move(write));
    }
    for (const auto& dial : fx.dials) this->dial(node, dial);
    for (const auto& send : fx.sends) {
      this->transmit(node, send.to, std::get<wire::PrivateFrame>(send.message));
    }
    for (const auto& close : fx.closes) close_(node, close.connection);
    for (const auto& check : fx.hostChecks) {
      later_.push_back({node.number, check.connection, check.host});
    }
    for (auto& update : fx.privateUpdates) take(node, std::move(update));
    for (const auto& notice : fx.notices) node.warnings.push_back(notice.text);
    answerQuestions(node);
    while (!later_.empty()) {
      const Check check = later_.front();
      later_.pop_front();
      Node& asker = nodes[check.node];
      const auto host = hosts_.find({check.node, check.connection});
      const bool isThere = host != hosts_.end() && host->second == check.host;
      if (!asker.core) continue;
      step(asker, [&](peer::Effects& more) {
        asker.core->hostChecked(check.connection, isThere, now, more);
      });
    }
    if (fault_ == Fault::acknowledgesEarly && early != 0) {
      step(node, [&](peer::Effects& more) { node.core->stored(early, now, more); });
    }
  }

  void answerQuestions(Node& node) {
    for (int i = 0; i < 100 && node.core->wanted() != nullptr; ++i) {
      const auto wanted = *node.core->wanted();
      peer::Effects fx;
      if (!isMetaserverReachable) {
        node.core->notAsked(now, fx);
      } else {
        const auto number = ++node.questions;
        node.core->asked(number);
        wire::Topology answer;
        answer.number = number;
        if (const Node* member = memberOf(wanted.id)) {
          answer.entries.push_back({contactOf(*member), std::nullopt, {}});
          if (fault_ == Fault::otherInstance) pretend(node, answer.entries.back().member);
        }
        (void)node.core->told(number, answer, now, fx);
      }
      carryOut(node, fx);
    }
  }

  // The planted fault: whoever has the id now is taken for the one that is meant.
  void pretend(const Node& asker, wire::Contact& member) {
    if (const auto* known = asker.core->book().latest(member.id)) member.instance = known->with;
  }

  void take(Node& node, peer::PrivateUpdate update) {
    if (update.kind == peer::PrivateUpdate::Kind::received) {
      if (std::find(node.shown.begin(), node.shown.end(), update.text) != node.shown.end()) {
        problems.push_back("shown twice: " + update.text);
      }
      if (update.isOtherThanBefore) node.marked.push_back(update.text);
      node.shown.push_back(update.text);
      return;
    }
    node.updates.push_back(std::move(update));
  }

  void dial(Node& node, const peer::Dial& dial) {
    Node* there = nullptr;
    for (auto& [number, each] : nodes) {
      if (each.core && each.host == dial.to.host) there = &each;
    }
    Pipe pipe;
    pipe.from = node.number;
    pipe.fromLife = node.life;
    pipe.dialled = dial.connection;
    if (there == nullptr) {
      pipe.isOpen = false;
      pipe.coming.push_back({true, Arrival::Kind::failed, {}});
    } else {
      pipe.to = there->number;
      pipe.toLife = there->life;
      pipe.accepted = ConnectionId{++there->accepted * 2};
      hosts_[{there->number, pipe.accepted}] = node.host;
      pipe.coming.push_back({false, Arrival::Kind::opened, {}});
      pipe.coming.push_back({true, Arrival::Kind::opened, {}});
    }
    pipes_.push_back(std::move(pipe));
  }

  Pipe* pipeOf(const Node& node, ConnectionId connection, bool& isDialler) {
    for (auto& pipe : pipes_) {
      isDialler =
          pipe.from == node.number && pipe.fromLife == node.life && pipe.dialled == connection;
      const bool isListener = pipe.to == node.number && pipe.toLife == node.life &&
                              pipe.accepted == connection && number(connection) != 0;
      if (isDialler || isListener) return &pipe;
    }
    return nullptr;
  }
  void transmit(Node& node, ConnectionId to, wire::PrivateFrame frame) {
    bool isDialler = false;
    Pipe* pipe = pipeOf(node, to, isDialler);
    if (pipe == nullptr) {
      unheard.emplace_back(to, std::move(frame));
      return;
    }
    if (!pipe->isOpen) return;
    if (auto* hello = std::get_if<wire::PrivateIntroduction>(&frame);
        hello != nullptr && fault_ == Fault::otherInstance) {
      hello->to = instanceOf(pipe->to);
    }
    pipe->coming.push_back({!isDialler, Arrival::Kind::frame, std::move(frame)});
  }
  void close_(Node& node, ConnectionId connection) {
    bool isDialler = false;
    Pipe* pipe = pipeOf(node, connection, isDialler);
    if (pipe == nullptr) {
      closedIntruders.insert(connection);
      return;
    }
    if (!pipe->isOpen) return;
    pipe->isOpen = false;
    std::erase_if(pipe->coming,
                  [&](const Arrival& each) { return each.isForDialler == isDialler; });
    pipe->coming.push_back({!isDialler, Arrival::Kind::end, {}});
  }
  void cut(Pipe& pipe) {
    pipe.isOpen = false;
    pipe.coming.clear();
    pipe.coming.push_back({true, Arrival::Kind::end, {}});
    pipe.coming.push_back({false, Arrival::Kind::end, {}});
  }
  void arrive(std::size_t at) {
    const Arrival arrival = std::move(pipes_[at].coming.front());
    pipes_[at].coming.pop_front();
    const Pipe pipe = pipes_[at];
    Node& node = nodes[arrival.isForDialler ? pipe.from : pipe.to];
    const ConnectionId connection = arrival.isForDialler ? pipe.dialled : pipe.accepted;
    if (!node.core || node.life != (arrival.isForDialler ? pipe.fromLife : pipe.toLife)) return;
    step(node, [&](peer::Effects& fx) {
      switch (arrival.kind) {
        case Arrival::Kind::opened:
          if (arrival.isForDialler) return node.core->opened(connection, now, fx);
          return accept(node, connection, nodes[pipe.from].host, fx);
        case Arrival::Kind::failed:
          return node.core->failed(connection, {ErrorCode::unavailable, "refused"}, now, fx);
        case Arrival::Kind::frame:
          return node.core->received(connection, arrival.frame, now, fx);
        case Arrival::Kind::end:
          return node.core->closed(connection, now, fx);
      }
    });
  }
  void accept(Node& node, ConnectionId connection, const std::string& host, peer::Effects& fx) {
    auto account = node.budget->account(Payer::host(host));
    node.core->accepted(connection, host, std::move(account), now, fx);
  }

  struct Check {
    unsigned node = 0;
    ConnectionId connection{};
    std::string host;
  };

  const Fault fault_;
  std::deque<Pipe> pipes_;
  std::map<std::pair<unsigned, ConnectionId>, std::string> hosts_;  // that connections come from
  std::deque<Check> later_;
  std::uint64_t requests_ = 0;
};

}  // namespace espalier::test
