// A network of Pushes on one virtual clock. run() delivers messages and lets time pass.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/budget.h"
#include "common/base/limits.h"
#include "common/wire/link_codec.h"
#include "peer/core/push.h"

namespace espalier::peer::test {

using namespace std::chrono_literals;
using wire::PushEnd;
using wire::PushEntry;
using wire::PushState;

inline PeerId id(unsigned number) {
  return *PeerId::parse("s" + std::to_string(number));
}

inline wire::Contact contact(unsigned number) {
  return {id(number), JoinOrder{number}, {"127.0.0.1", static_cast<std::uint16_t>(5000 + number)}};
}

inline const PushPolicy kAll{PushPolicy::From::all, {}, 1u << 30};

// The default size has so many chunks that a push to a few peers travels along a chain.
constexpr std::uint64_t kFileOfAChain = 16u << 20;
inline std::vector<wire::PushFile> oneFile(std::uint64_t bytes = kFileOfAChain) {
  return {{"news.bin", bytes, *FileRoot::fromRaw(std::string(32, 'r'))}};
}

// Peers s1 … sN. Links deliver without delay.
class Network {
 public:
  struct Node {
    std::unique_ptr<Budget> budget = std::make_unique<Budget>();
    std::unique_ptr<Random> random;
    std::unique_ptr<Pushes> pushes;
    std::map<ConnectionId, std::pair<unsigned, ConnectionId>> links;  // the neighbour, and its end
    std::vector<PushJob> jobs;
    std::vector<std::string> notices;
    std::size_t sent = 0;
    std::vector<TimePoint> ledgersSent;
    std::size_t offersSent = 0;
  };

  explicit Network(unsigned count, const PushPolicy& policy = kAll) {
    nodes_.resize(count + 1);
    for (unsigned i = 1; i <= count; ++i) restart(i, policy);
  }

  void restart(unsigned number, const PushPolicy& policy = kAll) {
    while (!at(number).links.empty()) {
      cut(number, at(number).links.begin()->second.first);
    }
    at(number).jobs.clear();
    at(number).random = std::make_unique<Random>(number);
    InstanceKey key;
    key.bytes.fill(static_cast<std::uint8_t>(number));
    at(number).pushes = std::make_unique<Pushes>(contact(number), policy, *at(number).random, key,
                                                 at(number).budget.get());
  }

  void link(unsigned a, unsigned b) {
    const ConnectionId ends[] = {ConnectionId{++connections_}, ConnectionId{++connections_}};
    at(a).links[ends[0]] = {b, ends[1]};
    at(b).links[ends[1]] = {a, ends[0]};
    step(a, [&](Effects& fx) {
      at(a).pushes->linkUp({ends[0], contact(b), at(a).budget->account(Payer::member(id(b)))}, now,
                           fx);
    });
    step(b, [&](Effects& fx) {
      at(b).pushes->linkUp({ends[1], contact(a), at(b).budget->account(Payer::member(id(a)))}, now,
                           fx);
    });
    setConfirmed(a, b, true);
    setConfirmed(b, a, true);
  }

  // Links are confirmed by the metaserver soon after they came up; these are at once.
  void setConfirmed(unsigned number, unsigned to, bool isConfirmed) {
    for (const auto& [connection, link] : at(number).links) {
      if (link.first == to) at(number).pushes->confirmed(connection, isConfirmed);
    }
  }

  void cut(unsigned a, unsigned b) {
    // No structured bindings: clang 14 cannot capture them in a lambda.
    for (const auto& ends : {std::pair(a, b), std::pair(b, a)}) {
      const unsigned one = ends.first;
      const unsigned other = ends.second;
      auto& links = at(one).links;
      const auto end = std::find_if(links.begin(), links.end(),
                                    [&](const auto& each) { return each.second.first == other; });
      REQUIRE(end != links.end());
      const ConnectionId connection = end->first;
      links.erase(end);
      if (!at(one).pushes) continue;
      step(one, [&](Effects& fx) { at(one).pushes->linkDown(connection, now, fx); });
    }
  }

  template <typename Event>
  void step(unsigned number, Event&& event) {
    Effects fx;
    event(fx);
    auto& node = at(number);
    for (auto& job : fx.pushJobs) node.jobs.push_back(std::move(job));
    for (auto& notice : fx.notices) node.notices.push_back(std::move(notice.text));
    for (auto& send : fx.sends) {
      const auto& message = std::get<wire::LinkMessage>(send.message);
      const auto link = node.links.find(send.to);
      if (link == node.links.end()) continue;
      ++node.sent;
      if (std::holds_alternative<wire::PushLedger>(message)) node.ledgersSent.push_back(now);
      node.offersSent += std::holds_alternative<wire::PushOffer>(message) ? 1 : 0;
      // Each message must fit into a frame.
      const auto bytes = wire::encode(message);
      CHECK(bytes.size() <= limits::kFrameBytes);
      coming_.push_back({link->second.first, link->second.second, message});
    }
  }

  // Delivers, and lets time pass.
  void run(Duration length) {
    const TimePoint until = now + length;
    while (true) {
      while (!coming_.empty()) {
        const auto [to, connection, message] = coming_.front();
        coming_.pop_front();
        if (!at(to).links.contains(connection)) continue;
        step(to, [&, receiver = to, via = connection, &what = message](Effects& fx) {
          at(receiver).pushes->received(via, what, now, fx);
        });
      }
      TimePoint next = until;
      for (unsigned i = 1; i < nodes_.size(); ++i) {
        next = std::min(next, at(i).pushes->deadline());
      }
      now = std::max(now, next);
      if (now >= until) return;
      for (unsigned i = 1; i < nodes_.size(); ++i) {
        if (at(i).pushes->deadline() > now) continue;
        step(i, [&](Effects& fx) { at(i).pushes->tick(now, fx); });
      }
    }
  }

  PushId push(unsigned sender, std::vector<PeerId> to = {}) {
    std::optional<PushId> id;
    step(sender,
         [&](Effects& fx) { id = *at(sender).pushes->start(oneFile(), std::move(to), now, fx); });
    return *id;
  }

  void receive(unsigned to, unsigned from, const wire::LinkMessage& message) {
    for (const auto& [connection, link] : at(to).links) {
      if (link.first != from) continue;
      const auto c = connection;
      return step(to, [&](Effects& fx) { at(to).pushes->received(c, message, now, fx); });
    }
    FAIL("no such link");
  }

  // So many peers are behind the link from `at` to `to`.
  void setBehind(unsigned number, unsigned to, std::uint64_t count) {
    for (const auto& [connection, link] : at(number).links) {
      if (link.first == to) at(number).pushes->peersBehind(connection, count);
    }
  }

  void complete(unsigned number, const PushId& push) {
    step(number, [&](Effects& fx) { at(number).pushes->completed(push, now, fx); });
  }

  std::optional<PeerId> sourceOf(unsigned number, std::size_t stripe = 0) {
    std::optional<PeerId> source;
    for (const auto& job : at(number).jobs) {
      const auto* from = std::get_if<PushTakeFrom>(&job);
      if (from != nullptr && from->stripe == stripe) source = from->source.id;
    }
    return source;
  }

  template <typename Job>
  std::size_t jobs(unsigned number) {
    return static_cast<std::size_t>(
        std::count_if(at(number).jobs.begin(), at(number).jobs.end(),
                      [](const auto& job) { return std::holds_alternative<Job>(job); }));
  }

  PushState stateOf(unsigned of, const PushId& push, unsigned as) {
    const auto view = at(as).pushes->view(push);
    REQUIRE(view);
    const auto entry = view->ledger.find(id(of));
    REQUIRE(entry.has_value());
    return entry->state();
  }

  Node& at(unsigned number) { return nodes_[number]; }
  TimePoint now{1000s};

 private:
  struct Message {
    unsigned to;
    ConnectionId connection;
    wire::LinkMessage message;
  };
  std::vector<Node> nodes_;
  std::deque<Message> coming_;
  std::uint64_t connections_ = 0;
};

// s1 - s2 - … - sN
inline Network line(unsigned count) {
  Network network(count);
  for (unsigned i = 1; i < count; ++i) network.link(i, i + 1);
  return network;
}

inline wire::PushLedger ledgerOf(const PushId& push, std::vector<PushEntry> entries) {
  return {push, PushEnd::open, std::move(entries)};
}

inline PushEntry entryOf(unsigned number, PushState state, std::uint32_t version = 1) {
  PushEntry entry;
  entry.version = version;
  entry.state = state;
  entry.peer = contact(number);
  entry.via = id(1);
  return entry;
}

// As a peer of an older program sends it.
inline wire::PushOffer offerOf(unsigned sender, std::uint64_t number,
                               std::vector<wire::PushFile> files = oneFile()) {
  Random random(1000 + number);  // the peers have small seeds
  return {randomFrom<PushId>(random),
          contact(sender),
          id(sender),
          false,
          PushEnd::open,
          std::move(files),
          {}};
}

}  // namespace espalier::peer::test
