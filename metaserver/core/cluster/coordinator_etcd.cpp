// The part of Coordinator that lets etcd say who decides (mastership.h). A decision is told to
// nobody before it is written there.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "common/base/limits.h"
#include "metaserver/core/cluster/coordinator.h"

namespace espalier::metaserver::cluster {
namespace {

using namespace std::chrono_literals;

constexpr auto kSweep = 10s;
constexpr auto kHandOverPause = 5s;

const std::string& keyOf(const etcd::Operation& operation) {
  return std::visit([](const auto& one) -> const std::string& { return one.key; }, operation);
}

// The last operation of each key, in the order of the keys.
std::vector<etcd::Operation> lastOfEach(std::vector<etcd::Operation> operations) {
  std::map<std::string, etcd::Operation> last;
  for (auto& operation : operations) last.insert_or_assign(keyOf(operation), std::move(operation));
  std::vector<etcd::Operation> result;
  result.reserve(last.size());
  for (auto& [key, operation] : last) result.push_back(std::move(operation));
  return result;
}

}  // namespace

void Coordinator::reconsiderByEtcd(const View& view, TimePoint now, CoordinatorEffects& fx) {
  const auto* best = elected(view);
  if (authority_) {
    // Of several candidates etcd elects the best, but it knows nothing of copies and links.
    const bool isBetter =
        best && best->number != mesh_.self().number && best->have.epoch == authority_->epoch();
    if (isBetter && now >= yieldFrom_) {
      yieldFrom_ = now + kHandOverPause;
      fx.heir = best->name;
    }
    return follow(mesh_.self().number, authority_->epoch(), now, fx);
  }
  for (const auto& state : view.deciding) {
    isStarting_ = false;
    if (!isFounded_ && !state.network.isZero()) adoptNetwork(state.network, fx);
    hasFollowed_ = true;
    return follow(state.number, etcdEpoch_, now, fx);
  }
  follow(std::nullopt, {}, now, fx);
}

void Coordinator::masterSeen(std::optional<ServerName> master, Epoch epoch, TimePoint now,
                             CoordinatorEffects& fx) {
  etcdMaster_ = std::move(master);
  etcdEpoch_ = epoch;
  reconsider(now, fx);
}

void Coordinator::won(Epoch epoch, EtcdDirectory written, TimePoint now, CoordinatorEffects& fx) {
  if (authority_) lost(now, fx);
  isStarting_ = false;
  Registry::Options options = options_.registry;
  options.before.clear();
  for (const auto& [order, row] : replica_->directory().copy().rows()) {
    // What etcd says of an id counts: a later master may have given it to another peer.
    const auto there = written.members.find(row->contact.id);
    const bool isSame = there == written.members.end() ||
                        (there->second.key == row->key && there->second.order == order);
    if (isSame) options.away.push_back(*row);
  }
  // Members that this metaserver has no copy of. If it has none at all, all metaservers were
  // started again: they are awaited.
  const Directory& copy = replica_->directory();
  for (const auto& [id, member] : written.members) {
    const auto* row = copy.copy().find(id);
    if (row && row->key == member.key && row->contact.order == member.order) continue;
    (options.away.empty() ? options.before : options.held).push_back(member);
  }
  std::sort(options.before.begin(), options.before.end(),
            [](const auto& a, const auto& b) { return a.order < b.order; });
  if (written.network) adoptNetwork(*written.network, fx);
  options.network = network_;
  const JoinOrder newest = std::max(written.ordersUpTo, copy.newest());
  options.nextOrder = JoinOrder{number(newest) + 1};
  options.ordersFrom = options.nextOrder;
  epoch_ = std::max(epoch_, epoch);
  etcdMaster_ = mesh_.self().name;
  etcdEpoch_ = epoch;
  durable_.ordersUpTo = kNoOrder;  // of a block in etcd
  namesNetwork_ = !written.network;
  sweepAt_ = now + kSweep;
  kept_ = promises_;
  install(std::move(options), epoch, PromisedMembers(options_.etcdPrefix, written), now, fx);
}

void Coordinator::lost(TimePoint now, CoordinatorEffects& fx) {
  if (etcdMaster_ == mesh_.self().name) etcdMaster_.reset();
  if (!authority_) return;
  follow(std::nullopt, {}, now, fx);
  stopDeciding(fx);
  noteReplaced(now, fx);
  reconsider(now, fx);
}

void Coordinator::setTrouble(const std::string& trouble) {
  home_.setWaitReason(trouble.empty() ? "the metaservers have no master at the moment"
                                      : "no master: " + trouble);
}

void Coordinator::promised(std::uint64_t number, TimePoint now, CoordinatorEffects& fx) {
  // What follows one that was not written is not told, either.
  if (!authority_ || number != kept_ + 1) return;
  kept_ = number;
  tellCommits(fx);
  releaseHeld(fx);
  tellOwn(now, fx);
}

// Its connection ends: an earlier admission is not confirmed any more, if it was refused since.
void Coordinator::dropHeldOf(ConnectionId connection) {
  if (heldFor_.erase(connection) == 0) return;
  std::erase_if(held_, [&](const Held& held) { return held.send.to == connection; });
}

// Writes what these decisions are.
void Coordinator::promiseDecisions(Commit& commit, TimePoint now, CoordinatorEffects& fx) {
  auto& promised = *authority_->promised;
  const auto isHeld = [&](const PeerId& id) { return authority_->registry.isIdHeld(id); };
  std::vector<etcd::Operation> operations;
  const std::uint64_t next = number(authority_->registry.nextOrder());
  if (next + kOrdersReserved / 2 > number(durable_.ordersUpTo)) {
    durable_.ordersUpTo = JoinOrder{next + kOrdersReserved};
    operations.push_back(promised.orders(durable_.ordersUpTo));
  }
  if (std::exchange(namesNetwork_, false)) operations.push_back(promised.network(network_));
  for (const auto& delta : commit.deltas) promised.follow(delta, isHeld, operations);
  if (now >= sweepAt_) {
    sweepAt_ = now + kSweep;
    promised.sweep(isHeld, operations);
  }
  operations = lastOfEach(std::move(operations));
  for (std::size_t at = 0; at < operations.size(); at += limits::kPromiseOperations) {
    const auto end = std::min(operations.size(), at + limits::kPromiseOperations);
    EtcdPromise promise{++promises_, {}};
    for (std::size_t i = at; i < end; ++i) promise.operations.push_back(std::move(operations[i]));
    fx.promises.push_back(std::move(promise));
  }
  commit.promise = promises_;
}

}  // namespace espalier::metaserver::cluster
