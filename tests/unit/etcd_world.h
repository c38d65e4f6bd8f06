// Several metaservers at one model of etcd, on one real time, for tests: delays, lost requests and
// answers, requests that are carried out late, dead watches, processes that stand still or die, and
// clocks that run differently. Everything follows from the seed.
//
// What it checks at every step is in judge() and witness(). Not thread-safe.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/random.h"
#include "metaserver/core/cluster/mastership.h"
#include "tests/support/etcd_model.h"

namespace espalier::metaserver::cluster {

// The codec of these tests: "NAME NUMBER STARTED DRAINS".
inline std::string encodeCandidate(const Candidate& one) {
  return fmt::format("{} {} {} {}", one.name.text(), number(one.number), one.started.count(),
                     one.drains ? 1 : 0);
}
inline std::optional<Candidate> decodeCandidate(std::string_view value) {
  std::vector<std::string> words(1);
  for (const char letter : value) {
    if (letter == ' ') {
      words.emplace_back();
    } else {
      words.back() += letter;
    }
  }
  if (words.size() != 4) return std::nullopt;
  Candidate one;
  one.name = *ServerName::parse(words[0]);
  one.number = ServerNumber{static_cast<std::uint16_t>(std::stoul(words[1]))};
  one.address = {"127.0.0.1", number(one.number)};
  one.started = std::chrono::milliseconds(std::stoll(words[2]));
  one.drains = words[3] == "1";
  return one;
}
inline Candidate candidate(unsigned index) {
  Candidate one;
  one.name = *ServerName::parse(fmt::format("m{}", index));
  one.number = ServerNumber{static_cast<std::uint16_t>(5000 + index)};
  one.address = {"127.0.0.1", number(one.number)};
  one.started = std::chrono::milliseconds(1000 + index);
  return one;
}

class EtcdWorld {
 public:
  // What a broken core would do: the checks must find it.
  enum class Fault { none, comparesNothing, repeatsLate };

  struct Node {
    std::optional<Mastership> core;
    double rate = 1;           // of its clock
    TimePoint stalledUntil{};  // real time
    unsigned life = 0;         // runs of this process; messages of older ones are dropped
    std::uint64_t watch = 0;
    std::size_t watched = 0;  // changes that its watch was told
    TimePoint watchAt{};      // when the last message of its watch arrives
    bool isWatchDead = false;
    bool isCut = false;                                              // from etcd
    std::map<std::uint64_t, std::pair<Epoch, std::uint64_t>> asked;  // promises
  };

  EtcdWorld(std::uint64_t seed, std::size_t count, Fault fault = Fault::none)
      : random(seed), fault_(fault) {
    etcdRate_ = rate();
    nodes.resize(count);
    for (auto& node : nodes) node.rate = rate();
    for (std::size_t index = 0; index < count; ++index) start(index);
  }

  std::uint64_t below(std::uint64_t n) { return random() % n; }
  Duration upTo(Duration most) {
    return Duration(static_cast<Duration::rep>(below(static_cast<std::uint64_t>(most.count()))));
  }
  TimePoint localTime(const Node& node) const { return scaled(node.rate); }
  bool isMaster(const Node& node) const {
    return node.core && node.core->isMaster(localTime(node));
  }
  Node* master() {
    for (auto& node : nodes) {
      if (isMaster(node)) return &node;
    }
    return nullptr;
  }

  void start(std::size_t index) {
    auto& node = nodes[index];
    stop(index);
    Mastership::Config config;
    config.self = candidate(static_cast<unsigned>(index));
    config.codec = {encodeCandidate, decodeCandidate};
    node.core.emplace(std::move(config), localTime(node));
    step(index, [](Mastership& core, TimePoint at, EtcdEffects& fx) { core.tick(at, fx); });
  }
  void stop(std::size_t index) {
    auto& node = nodes[index];
    node.core.reset();
    ++node.life;
    node.watch = 0;
    node.asked.clear();
    node.stalledUntil = {};
  }
  void promise(std::size_t index) {
    auto& node = nodes[index];
    const std::uint64_t sequence = ++lastPromise_;
    const auto epoch = node.core->epoch();
    if (epoch) node.asked[sequence] = {*epoch, sequence};
    step(index, [&](Mastership& core, TimePoint at, EtcdEffects& fx) {
      const auto value = fmt::format("{} {}", epoch ? epoch->counter : 0, sequence);
      core.promise(
          sequence,
          {etcd::Put{core.key(fmt::format("ids/p{}", sequence % 5)), value, etcd::kNoLease}}, at,
          fx);
    });
  }
  // One event of that process, which must not stand still.
  void step(std::size_t index,
            const std::function<void(Mastership&, TimePoint, EtcdEffects&)>& event) {
    auto& node = nodes[index];
    if (!node.core) return;
    EtcdEffects fx;
    event(*node.core, localTime(node), fx);
    for (const auto& one : fx.events) heard(node, one);
    for (const auto& one : fx.requests) request(index, one);
    judge();
  }

  // Runs until then. Between two steps nothing happens but that time passes.
  void runUntil(TimePoint end) {
    while (true) {
      TimePoint next = std::min(end, realOf(etcd.nextExpiry(), etcdRate_));
      for (const auto& node : nodes) {
        if (node.core) next = std::min(next, wakes(node));
      }
      if (!queue_.empty()) next = std::min(next, queue_.begin()->first);
      now = std::max(now, next);
      if (now >= end) break;
      etcd.expire(scaled(etcdRate_));
      tellWatches();
      runQueue();
      for (std::size_t index = 0; index < nodes.size(); ++index) {
        auto& node = nodes[index];
        if (!node.core || wakes(node) > now) continue;
        step(index, [](Mastership& core, TimePoint at, EtcdEffects& fx) { core.tick(at, fx); });
      }
    }
  }
  void run(Duration time) { runUntil(now + time); }

  void breakWatch(std::size_t index) {
    if (nodes[index].watch == 0) return;
    deliver(index, {nodes[index].watch, etcd::WatchEnded{"broken"}}, upTo(std::chrono::seconds(1)));
    nodes[index].watch = 0;
  }
  // All answers are late meanwhile; leases begin again.
  void electEtcd(Duration pause) {
    pausedUntil_ = now + pause;
    queue_.emplace(pausedUntil_, [this] { etcd.elect(scaled(etcdRate_)); });
  }

  Random random;
  TimePoint now{};
  etcd::Model etcd;
  std::vector<Node> nodes;
  Duration mostDelay = std::chrono::milliseconds(20);
  unsigned lossPercent = 0;
  unsigned latePercent = 0;         // of answers
  bool mayBelieveTogether = false;  // where etcd itself breaks its leases
  // What happened, so that tests can see that they tested something.
  unsigned masterships = 0;
  unsigned kept = 0;
  unsigned unknown = 0;
  unsigned late = 0;  // transactions that arrived after their sender had given them up
  std::vector<std::string> wrong;

 private:
  double rate() { return 0.95 + 0.1 * static_cast<double>(below(1001)) / 1000; }
  TimePoint scaled(double rate) const {
    return TimePoint(Duration(
        static_cast<Duration::rep>(static_cast<double>(now.time_since_epoch().count()) * rate)));
  }
  // The first real moment at which a clock of that rate shows `local`.
  static TimePoint realOf(TimePoint local, double rate) {
    if (local == kNever) return kNever;
    if (local <= TimePoint{}) return TimePoint{};
    return TimePoint(Duration(
        static_cast<Duration::rep>(static_cast<double>(local.time_since_epoch().count()) / rate) +
        2));
  }
  TimePoint wakes(const Node& node) const {
    return std::max(realOf(node.core->deadline(), node.rate), node.stalledUntil);
  }

  void runQueue() {
    while (!queue_.empty() && queue_.begin()->first <= now) {
      const auto run = std::move(queue_.begin()->second);
      queue_.erase(queue_.begin());
      run();
    }
  }

  void request(std::size_t index, const etcd::Request& request) {
    auto& node = nodes[index];
    if (const auto* watch = std::get_if<etcd::Watch>(&request.what)) {
      beginWatch(node, request.number, *watch);
      return;
    }
    const bool isLost = node.isCut || below(100) < lossPercent;
    const auto there = std::max(now, pausedUntil_) + upTo(mostDelay);
    if (!isLost) {
      queue_.emplace(there, [this, index, request, life = node.life] {
        auto what = applied(request);
        if (below(100) < lossPercent) what = etcd::Failed{"the answer was lost"};
        const Duration delay =
            below(100) < latePercent ? upTo(std::chrono::seconds(3)) : Duration();
        deliver(index, {request.number, std::move(what)}, delay + upTo(mostDelay), life);
      });
      return;
    }
    // Never carried out, or long after its sender was told that it failed.
    deliver(index, {request.number, etcd::Failed{"no answer"}}, upTo(std::chrono::seconds(2)));
    if (node.isCut || below(2) == 0) return;
    const auto after = upTo(std::chrono::seconds(8));
    queue_.emplace(there + after, [this, request] {
      ++late;
      applied(request);
    });
  }
  auto applied(etcd::Request request) -> decltype(etcd::Answer::what) {
    auto* txn = std::get_if<etcd::Txn>(&request.what);
    if (txn && fault_ == Fault::comparesNothing && !txn->otherwise.empty()) txn->compares.clear();
    if (txn && fault_ == Fault::repeatsLate && !txn->otherwise.empty()) txn->compares.resize(1);
    auto what = etcd.apply(request, scaled(etcdRate_));
    const auto* done = std::get_if<etcd::TxnDone>(&what);
    if (done && done->succeeded) witness(*txn);
    tellWatches();
    return what;
  }
  void deliver(std::size_t index, etcd::Answer answer, Duration delay) {
    deliver(index, std::move(answer), delay, nodes[index].life);
  }
  void deliver(std::size_t index, etcd::Answer answer, Duration delay, unsigned life) {
    queue_.emplace(now + delay, [this, index, answer = std::move(answer), life] {
      auto& node = nodes[index];
      if (!node.core || node.life != life) return;
      if (node.stalledUntil > now) return deliver(index, answer, node.stalledUntil - now, life);
      step(index,
           [&](Mastership& core, TimePoint at, EtcdEffects& fx) { core.answered(answer, at, fx); });
    });
  }

  void beginWatch(Node& node, std::uint64_t number, const etcd::Watch& watch) {
    node.watch = number;
    node.isWatchDead = false;
    node.watchAt = now;
    node.watched = 0;
    while (node.watched < etcd.changes().size() &&
           etcd.changes()[node.watched].key.modified < watch.from) {
      ++node.watched;
    }
    tellWatches();
  }
  void tellWatches() {
    for (std::size_t index = 0; index < nodes.size(); ++index) {
      auto& node = nodes[index];
      if (!node.core || node.watch == 0 || node.isWatchDead || node.isCut) continue;
      if (node.watched == etcd.changes().size()) continue;
      etcd::Watched told{etcd.revision(), {}};
      for (; node.watched < etcd.changes().size(); ++node.watched) {
        const auto& change = etcd.changes()[node.watched];
        if (change.key.key.starts_with(node.core->key("cluster/"))) told.changes.push_back(change);
      }
      node.watchAt = std::max(node.watchAt, now + upTo(mostDelay));
      deliver(index, {node.watch, std::move(told)}, node.watchAt - now);
    }
  }

  void heard(Node& node, const MastershipEvent& event) {
    if (std::get_if<Won>(&event)) ++masterships;
    const auto* promised = std::get_if<Promised>(&event);
    if (!promised) return;
    if (promised->outcome == PromiseOutcome::unknown) ++unknown;
    if (promised->outcome != PromiseOutcome::kept) return;
    ++kept;
    const auto asked = node.asked[promised->number];
    if (!written_.contains(asked)) wrong.push_back("a promise is called kept that etcd lacks");
  }
  // What a transaction that has succeeded says about the masters.
  void witness(const etcd::Txn& txn) {
    for (const auto& operation : txn.then) {
      const auto* put = std::get_if<etcd::Put>(&operation);
      if (!put) continue;
      if (put->key.ends_with("cluster/epoch")) {
        const auto epoch = static_cast<std::uint32_t>(std::stoul(put->value));
        if (epoch <= newest_)
          wrong.push_back("a mastership has no higher number than the one before");
        newest_ = epoch;
      }
      if (!put->key.starts_with("/espalier/ids/")) continue;
      const auto gap = put->value.find(' ');
      const auto epoch = static_cast<std::uint32_t>(std::stoul(put->value.substr(0, gap)));
      const std::uint64_t sequence = std::stoull(put->value.substr(gap + 1));
      const std::pair<Epoch, std::uint64_t> written{{epoch, kNoServer}, sequence};
      if (epoch != newest_) wrong.push_back("an older master wrote after a newer one");
      if (!written_.insert(written).second) wrong.push_back("a promise was written twice");
      auto& last = last_[put->key];
      if (written <= last) wrong.push_back("promises were written in another order");
      last = std::max(last, written);
    }
  }
  void judge() {
    int believers = 0;
    for (const auto& node : nodes) believers += isMaster(node) ? 1 : 0;
    if (believers > 1 && !mayBelieveTogether) wrong.push_back("two masters at one moment");
  }

  Fault fault_;
  double etcdRate_ = 1;
  TimePoint pausedUntil_{};
  std::multimap<TimePoint, std::function<void()>> queue_;
  std::uint64_t lastPromise_ = 0;
  std::uint32_t newest_ = 0;
  std::set<std::pair<Epoch, std::uint64_t>> written_;
  std::map<std::string, std::pair<Epoch, std::uint64_t>> last_;
};

}  // namespace espalier::metaserver::cluster
