// A network of search cores in one thread on a virtual clock. Links are first in, first out, with a
// random delay for each message. Each message is encoded and decoded. All random numbers come from
// one seed. The invariants are checked at every step.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/budget.h"
#include "common/base/limits.h"
#include "common/base/random.h"
#include "common/wire/search_codec.h"
#include "peer/core/pattern.h"
#include "peer/core/search.h"
#include "tests/support/coverage_text.h"

namespace espalier::peer::testing {

using namespace std::chrono_literals;

inline FileRoot rootOf(const std::string& content) {
  FileRoot root;
  Random random(std::hash<std::string>()(content));
  for (auto& byte : root.bytes) byte = static_cast<std::uint8_t>(random());
  return root;
}

inline LocalHit file(const std::string& name, const std::string& content) {
  return {name, content.size(), rootOf(content)};
}

inline PeerId peerId(const std::string& text) {
  return *PeerId::parse(text);
}

// A message of searches, as a link message.
inline wire::LinkMessage onLink(const wire::SearchMessage& message) {
  return std::visit([](const auto& m) { return wire::LinkMessage(m); }, message);
}
inline wire::SearchMessage searchMessage(const Send& send) {
  const auto& message = std::get<wire::LinkMessage>(send.message);
  if (const auto* query = std::get_if<wire::Query>(&message)) return *query;
  if (const auto* answer = std::get_if<wire::Answer>(&message)) return *answer;
  return std::get<wire::Lost>(message);
}

// The ids of those that have a file of this name.
inline std::vector<std::string> holdersOf(const SearchResult& result, const std::string& name) {
  std::vector<std::string> holders;
  for (const auto& file : result.files) {
    if (file.name != name) continue;
    for (const auto& holder : file.holders) holders.push_back(holder.id.text());
  }
  return holders;
}

struct Node {
  PeerId id;
  JoinOrder order{};
  std::unique_ptr<Random> random;
  std::unique_ptr<Budget> budget = std::make_unique<Budget>();
  std::unique_ptr<Searches> searches;
  std::vector<LocalHit> share;
  std::map<std::size_t, ConnectionId> links;  // by neighbour
  std::map<ConnectionId, std::size_t> neighbours;
  Duration matchTakes = 1ms;
  bool isIndexing = false;
  bool isSilent = false;  // stopped: it receives and sends nothing
  bool isDead = false;
  std::size_t jobs = 0;
  std::vector<std::string> notices;
};

class Network {
 public:
  explicit Network(std::uint64_t seed = 1) : random_(seed) {}

  // Peers s1, s2 …. Each shares NAME.txt, which only it has, and common.txt, which all have.
  void add(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto& node = nodes_.emplace_back();
      const auto name = "s" + std::to_string(nodes_.size());
      node.id = peerId(name);
      node.order = JoinOrder{nodes_.size()};
      node.random = std::make_unique<Random>(nodes_.size());
      const Endpoint endpoint{"127.0.0.1", static_cast<std::uint16_t>(5000 + nodes_.size())};
      node.searches =
          std::make_unique<Searches>(wire::Contact{node.id, node.order, endpoint}, *node.random);
      node.share = {file(name + ".txt", name), file("common.txt", "the same everywhere")};
    }
  }
  void line(std::size_t count) {
    add(count);
    for (std::size_t i = 1; i < count; ++i) connect(i - 1, i);
  }
  // Each peer below a random earlier one that has a free slot.
  void tree(std::size_t count, std::size_t maxLinks) {
    add(count);
    for (std::size_t i = 1; i < count; ++i) {
      std::size_t parent = 0;
      do {
        parent = random_() % i;
      } while (nodes_[parent].links.size() >= maxLinks);
      connect(parent, i);
    }
  }

  Node& operator[](std::size_t i) { return nodes_[i]; }
  std::size_t size() const { return nodes_.size(); }
  TimePoint now() const { return now_; }
  Random& random() { return random_; }

  void connect(std::size_t a, std::size_t b) {
    // An end that has not noticed the last cut notices it now.
    if (areLinked(a, b)) down(a, nodes_[a].links.at(b));
    if (areLinked(b, a)) down(b, nodes_[b].links.at(a));
    const ConnectionId atA{++lastConnection_};
    const ConnectionId atB{++lastConnection_};
    attach(a, b, atA);
    attach(b, a, atB);
    countBehind();
    const auto up = [this](std::size_t i, ConnectionId link, std::size_t other) {
      step(i, [&](Effects& fx) {
        const wire::Contact peer{nodes_[other].id, nodes_[other].order, {}};
        nodes_[i].searches->linkUp({link, peer, nodes_[i].budget->account(Payer::member(peer.id))},
                                   now_, fx);
        nodes_[i].searches->confirmed(link, true);
      });
    };
    up(a, atA, b);
    up(b, atB, a);
    countBehind();
  }
  // Messages under way are lost. The ends notice the cut one after the other, `apart` in time.
  void cut(std::size_t a, std::size_t b, Duration apart = 0ms) {
    if (areLinked(a, b)) down(a, nodes_[a].links.at(b));
    if (areLinked(b, a)) {
      const auto atB = nodes_[b].links.at(a);
      apart == 0ms ? down(b, atB) : after(apart, [this, b, atB] { down(b, atB); });
    }
    countBehind();
  }
  void kill(std::size_t i) {
    nodes_[i].isDead = true;
    const auto links = nodes_[i].links;
    for (const auto& [other, link] : links) cut(other, i);
  }
  bool areLinked(std::size_t a, std::size_t b) const { return nodes_[a].links.contains(b); }

  QueryId ask(std::size_t i, std::string_view text = "*", std::optional<std::uint64_t> members = {},
              JoinOrder newest = kNoOrder) {
    return ask(i, text, MemberCount({members.value_or(size()), newest}));
  }
  QueryId ask(std::size_t i, std::string_view text, const MemberCount& count) {
    std::optional<QueryId> id;
    step(i, [&](Effects& fx) {
      const auto asked = nodes_[i].searches->ask(Pattern::kindOf(text), text, count, now_, fx);
      REQUIRE(asked.ok());
      id = *asked;
    });
    return *id;
  }
  // Runs until that search has ended.
  SearchResult resultOf(const QueryId& id) {
    const auto asked = now_;
    while (!results_.contains(id) && now_ < asked + 70s) advance(asked + 70s);
    REQUIRE(results_.contains(id));
    return results_.at(id);
  }
  SearchResult find(std::size_t i, std::string_view text = "*") { return resultOf(ask(i, text)); }
  void run(Duration time) {
    const auto end = now_ + time;
    while (now_ < end) advance(end);
  }
  void after(Duration time, std::function<void()> what) {
    events_.emplace(std::pair{now_ + time, ++lastEvent_}, std::move(what));
  }

  template <typename Action>
  void step(std::size_t i, Action&& action) {
    if (nodes_[i].isDead) return;
    Effects fx;
    action(fx);
    carryOut(i, fx);
  }

  // As if the neighbour `from` had sent it.
  void inject(std::size_t to, std::size_t from, const wire::SearchMessage& message) {
    step(to, [&](Effects& fx) {
      nodes_[to].searches->received(nodes_[to].links.at(from), onLink(message), now_, fx);
    });
  }

  // Gets each message before it is delivered; returns false to drop it.
  std::function<bool(std::size_t from, std::size_t to, const wire::SearchMessage&)> filter;
  std::set<wire::Hit> hitsShown(const QueryId& id) { return shown_[id]; }
  std::size_t messages = 0;
  Duration maxDelay = 5ms;

 private:
  void attach(std::size_t i, std::size_t other, ConnectionId link) {
    nodes_[i].links[other] = link;
    nodes_[i].neighbours[link] = other;
  }

  void down(std::size_t i, ConnectionId link) {
    auto& node = nodes_[i];
    const auto other = node.neighbours.find(link);
    if (other == node.neighbours.end()) return;
    const auto at = node.links.find(other->second);
    if (at != node.links.end() && at->second == link) node.links.erase(at);
    node.neighbours.erase(other);
    step(i, [&](Effects& fx) { nodes_[i].searches->linkDown(link, now_, fx); });
  }

  // Tells each peer the true number of peers behind each link.
  void countBehind() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      for (const auto& [other, link] : nodes_[i].links) {
        std::set<std::size_t> seen{other, i};
        std::vector<std::size_t> open{other};
        while (!open.empty()) {
          const auto at = open.back();
          open.pop_back();
          for (const auto& [next, unused] : nodes_[at].links) {
            if (seen.insert(next).second) open.push_back(next);
          }
        }
        nodes_[i].searches->peersBehind(link, seen.size() - 1);
      }
    }
  }

  void carryOut(std::size_t i, Effects& fx) {
    auto& node = nodes_[i];
    for (auto& each : fx.sends) send(i, each.to, searchMessage(each));
    for (auto& job : fx.jobs) {
      ++node.jobs;
      after(node.matchTakes, [this, i, job] { match(i, job); });
    }
    for (auto& update : fx.searchUpdates) check(update);
    for (auto& notice : fx.notices) node.notices.push_back(std::move(notice.text));
  }

  void send(std::size_t from, ConnectionId link, const wire::SearchMessage& message) {
    const auto other = nodes_[from].neighbours.find(link);
    // A core sends neither to a link that is gone, nor a message that the receiver would refuse.
    REQUIRE(other != nodes_[from].neighbours.end());
    const auto bytes = wire::encodeSearch(message);
    REQUIRE(bytes.size() <= limits::kSearchMessageBytes);
    auto decoded = wire::decodeSearch(bytes);
    REQUIRE(decoded.ok());
    ++messages;
    const auto to = other->second;
    const auto back = nodes_[to].links.find(from);
    if (back == nodes_[to].links.end()) return;
    auto& last = lastArrival_[link];
    const auto spread = static_cast<std::uint64_t>(maxDelay.count());
    last = std::max(last, now_ + Duration(1 + static_cast<std::int64_t>(random_() % spread)));
    events_.emplace(std::pair{last, ++lastEvent_},
                    [this, from, to, link = back->second, message = *decoded] {
                      if (!nodes_[to].neighbours.contains(link)) return;
                      if (nodes_[to].isSilent || nodes_[from].isSilent) return;
                      if (filter && !filter(from, to, message)) return;
                      step(to, [&](Effects& fx) {
                        nodes_[to].searches->received(link, onLink(message), now_, fx);
                      });
                    });
  }

  void match(std::size_t i, const MatchJob& job) {
    const auto pattern = Pattern::compile(job.kind, job.text);
    REQUIRE(pattern.ok());
    std::vector<LocalHit> hits;
    std::uint64_t more = 0;
    for (const auto& one : nodes_[i].share) {
      if (!pattern->matches(one.name, one.root)) continue;
      hits.size() < job.limit ? hits.push_back(one) : void(++more);
    }
    step(i, [&](Effects& fx) {
      nodes_[i].searches->matched(job.id, hits, more, nodes_[i].isIndexing, now_, fx);
    });
  }

  void check(const SearchUpdate& update) {
    REQUIRE(update.searched <= update.members);
    REQUIRE(update.searched >= searched_[update.id]);
    REQUIRE_FALSE(results_.contains(update.id));
    searched_[update.id] = update.searched;
    for (const auto& hit : update.hits) REQUIRE(shown_[update.id].insert(hit).second);
    if (!update.result) return;
    const auto& result = *update.result;
    auto missing = result.missingUnnamed;
    for (const auto& peer : result.missing) missing += (peer.answered ? 0 : 1) + peer.below;
    REQUIRE(result.searched + missing == result.members);
    results_[update.id] = result;
  }

  // Advances to the next event, at most to `end`.
  void advance(TimePoint end) {
    auto due = end;
    std::size_t ticks = nodes_.size();
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i].isDead || nodes_[i].isSilent) continue;
      const auto wanted = nodes_[i].searches->deadline();
      if (wanted < due) due = wanted, ticks = i;
    }
    const auto event = events_.begin();
    const bool isEvent = event != events_.end() && event->first.first <= due;
    if (isEvent) due = event->first.first;
    idleSteps_ = due > now_ ? 0 : idleSteps_ + 1;
    REQUIRE(idleSteps_ < 100'000);  // tick() does not move the deadline
    now_ = std::max(now_, due);
    if (isEvent) {
      const auto what = std::move(event->second);
      events_.erase(event);
      what();
    } else if (ticks < nodes_.size()) {
      step(ticks, [&](Effects& fx) { nodes_[ticks].searches->tick(now_, fx); });
    }
  }

  Random random_;
  std::deque<Node> nodes_;
  TimePoint now_{};
  std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> events_;
  std::map<ConnectionId, TimePoint> lastArrival_;
  std::uint64_t lastConnection_ = 0;
  std::uint64_t lastEvent_ = 0;
  std::size_t idleSteps_ = 0;
  std::map<QueryId, SearchResult> results_;
  std::map<QueryId, std::uint64_t> searched_;
  std::map<QueryId, std::set<wire::Hit>> shown_;
};

}  // namespace espalier::peer::testing
