#include "metaserver/core/cluster/coordinator.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::metaserver::cluster {
namespace {

template <typename T>
void append(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  from.clear();
}

// No order that it knows has a prefix above it.
Epoch highestEpoch(const Coordinator::Options& options) {
  Epoch highest = std::max(options.durable.epoch, partsOf(options.registry.nextOrder).prefix);
  for (const auto& before : options.registry.before) {
    highest = std::max(highest, partsOf(before.order).prefix);
  }
  return highest;
}

rooms::Rooms::Options roomsOf(const Coordinator::Options& options) {
  rooms::Rooms::Options rooms;
  rooms.self = options.self.number;
  rooms.lobbyOpensAt = options.chatOpensAt;
  rooms.rate = options.roomRate;
  rooms.wallMs = static_cast<std::uint64_t>(options.self.started.count());
  return rooms;
}

// Whether it has ever admitted anybody. Who only began an epoch has not: its next order is the
// first one of a prefix.
bool hasMembers(const Registry::Options& registry) {
  return !registry.before.empty() || partsOf(registry.nextOrder).running > 1;
}

}  // namespace

Coordinator::Coordinator(Options options, Budget& budget, Random& random, TimePoint now,
                         CoordinatorEffects& fx, const rooms::Stored& stored)
    : options_(std::move(options)),
      budget_(budget),
      random_(random),
      mesh_(options_.self, now),
      home_(budget, now),
      stream_(options_.self.started),
      rooms_(roomsOf(options_), stored, now),
      // Orders may have been given in its network that it does not know.
      isSingle_(!options_.isCluster && options_.durable.network.isZero()),
      namedLeft_(options_.named),
      epoch_(std::max(highestEpoch(options_), stored.last.epoch)),
      durable_(options_.durable),
      network_(durable_.network.isZero() ? options_.registry.network : durable_.network),
      isFounded_(hasMembers(options_.registry)),
      keepAliveAt_(now) {
  home_.setTurnAway([this](const std::string& host) { return turnAway(host); });
  if (isSingle_) {
    Registry::Options registry = options_.registry;
    registry.membersMost = options_.peersMost;
    authority_ = std::make_unique<Authority>(std::move(registry), budget_, now, fx.peers);
    noteAwaited(fx);
    beginRoomsAlone(stored.last.epoch, now);
    return;
  }
  inRooms([&](auto& core, auto& out) { core.leaderless(options_.isByEtcd, now, out); });
  replica_.emplace(random_);
  isStarting_ = true;
  startUntil_ = now + limits::kClusterStart;
  reconsider(now, fx);
  isDirty_ = true;
}

// Of those that decide: the others do not wait.
void Coordinator::noteAwaited(CoordinatorEffects& fx) {
  const auto awaited = authority_->registry.awaitedCount();
  if (awaited > 0) fx.peers.note({}, "waiting for " + counted(awaited, "peer") + " of before");
}

// --- peers of this metaserver ---

void Coordinator::peerOpened(ConnectionId connection, std::string host, TimePoint now,
                             CoordinatorEffects& fx) {
  if (isSingle_) return authority_->registry.opened(connection, std::move(host), now);
  observe(now);
  HomeSessions::Effects home;
  home_.opened(connection, std::move(host), now, home);
  deliver(home, now, fx);
}

void Coordinator::peerReceived(ConnectionId connection, const wire::RegistryRequest& request,
                               TimePoint now, CoordinatorEffects& fx) {
  considerFounding(now);
  if (isSingle_) {
    return decideAlone(
        [&](auto& registry, auto& own) { registry.received(connection, request, now, own); }, now,
        fx);
  }
  observe(now);
  HomeSessions::Effects home;
  home_.received(connection, request, directory(), now, home);
  deliver(home, now, fx);
}

void Coordinator::peerClosed(ConnectionId connection, TimePoint now, CoordinatorEffects& fx) {
  inRooms([&](auto& core, auto&) { core.peerClosed(connection); });
  if (isSingle_) {
    return decideAlone([&](auto& registry, auto& own) { registry.closed(connection, now, own); },
                       now, fx);
  }
  observe(now);
  dropHeldOf(connection);
  HomeSessions::Effects home;
  home_.closed(connection, now, home);
  deliver(home, now, fx);
}

void Coordinator::probed(const PeerId& id, bool listening, TimePoint now, CoordinatorEffects& fx) {
  observe(now);
  if (!mayDecide()) return;
  if (isSingle_) {
    return decideAlone([&](auto& registry, auto& own) { registry.probed(id, listening, now, own); },
                       now, fx);
  }
  decide([&](Registry& registry, auto& own) { registry.probed(id, listening, now, own); }, now, fx);
}

// --- the path of sessions ---

// An event of the registry, and what follows from it.
template <typename Event>
void Coordinator::decide(Event&& event, TimePoint now, CoordinatorEffects& fx) {
  metaserver::Effects own;
  RemoteSessions::Messages messages;
  event(authority_->registry, own);
  authority_->remote.translate(now, own, messages);
  HomeSessions::Effects home;
  route(messages, now, home);
  absorb(own, fx);
  deliver(home, now, fx);
}

// What the registry asks of this metaserver itself. Its state is written when the directory
// changes.
void Coordinator::absorb(metaserver::Effects& own, CoordinatorEffects& fx) {
  append(fx.peers.probes, own.probes);
  append(fx.peers.notices, own.notices);
  append(fx.peers.sessions, own.sessions);
  isDirty_ = true;
  if (!own.persists.empty()) changedDirectory(fx);
  if (authority_->registry.network() != network_) {
    // The first peer that returned to a metaserver without state: others may decide for its
    // network.
    adoptNetwork(authority_->registry.network(), fx);
    authority_->registry.giveOrdersFrom(orderOf({epoch_, 1}).value_or(kNoOrder));
  }
  reserveOrders(fx);
}

// Answers to this metaserver's own sessions are taken at once, those to others leave with flush().
void Coordinator::route(RemoteSessions::Messages& messages, TimePoint now,
                        HomeSessions::Effects& home) {
  for (auto& [to, message] : messages) {
    if (to == mesh_.self().number) {
      home_.received(std::move(message), now, home);
    } else {
      authority_->answers[to].push_back(std::move(message));
    }
  }
}

// Carries out what the sessions of this metaserver's peers ask for, and what follows from that.
void Coordinator::deliver(HomeSessions::Effects& home, TimePoint now, CoordinatorEffects& fx) {
  while (true) {
    toPeers(home.peers, now, fx);
    auto messages = std::exchange(home, {}).messages;
    if (messages.empty()) return;
    isDirty_ = true;
    if (!master_) return;  // what is asked is asked again of the next master
    if (*master_ != mesh_.self().number) return append(requests_, messages);
    if (isPaused_) return pauseRequests(messages);
    metaserver::Effects own;
    RemoteSessions::Messages answers;
    for (const auto& message : messages) {
      authority_->remote.received(*master_, message, now, own, answers);
    }
    route(answers, now, home);
    absorb(own, fx);
  }
}

void Coordinator::toPeers(metaserver::Effects& peers, TimePoint now, CoordinatorEffects& fx) {
  if (!peers.rooms.empty()) askRooms(peers, now);
  const auto holds = [&] { return authority_ && (options_.isByEtcd || isFollowedBySomebody()); };
  for (auto& send : peers.sends) {
    const bool isHeld = heldFor_.contains(send.to) ||
                        (std::holds_alternative<wire::Admitted>(send.reply) && holds());
    if (isHeld) {
      ++heldFor_[send.to];
      held_.push_back({std::move(send), std::nullopt});
      isDirty_ = true;
    } else {
      fx.peers.sends.push_back(std::move(send));
    }
  }
  append(fx.peers.readings, peers.readings);
  for (const ConnectionId connection : peers.closes) dropHeldOf(connection);
  append(fx.peers.closes, peers.closes);
  append(fx.peers.probes, peers.probes);
  append(fx.peers.notices, peers.notices);
  if (!peers.sessions.empty() || !peers.statistics.empty()) tellSessions(peers, now, fx);
}

void Coordinator::releaseHeld(CoordinatorEffects& fx) {
  if (!authority_ && options_.isByEtcd) return;  // the next master confirms them
  if (isPaused_) return;
  const bool all = !authority_;
  const bool isFollowed = !held_.empty() && isFollowedBySomebody();
  while (!held_.empty()) {
    auto& [send, sequence] = held_.front();
    if (!all && (!sequence || *sequence > committed_)) return;
    if (!all && isFollowed && *sequence > acknowledged_) return;
    if (--heldFor_[send.to] == 0) heldFor_.erase(send.to);
    fx.peers.sends.push_back(std::move(send));
    held_.pop_front();
  }
}

// The next master has confirmed the admission of this peer.
void Coordinator::releaseHeldOf(ConnectionId connection, CoordinatorEffects& fx) {
  if (heldFor_.erase(connection) == 0) return;
  const bool isMember = home_.isMember(connection);
  std::erase_if(held_, [&](Held& held) {
    if (held.send.to != connection) return false;
    if (isMember) fx.peers.sends.push_back(std::move(held.send));
    return true;
  });
}

void Coordinator::reserveOrders(CoordinatorEffects& fx) {
  if (options_.isByEtcd) return;  // promiseDecisions()
  // A prefix that is opened before the next epoch: this metaserver's next epoch is above it.
  const bool opens = authority_->registry.epoch() > durable_.epoch;
  if (opens) durable_.epoch = authority_->registry.epoch();
  const std::uint64_t next = number(authority_->registry.nextOrder());
  if (!opens && next + kOrdersReserved / 2 <= number(durable_.ordersUpTo)) return;
  durable_.ordersUpTo = JoinOrder{next + kOrdersReserved};
  fx.durable = durable_;
}

// --- time ---

TimePoint Coordinator::deadline() const {
  if (isDirty_) return TimePoint::min();
  TimePoint first = rooms_.deadline();
  if (isSingle_) return std::min(first, authority_->registry.deadline());
  first = std::min({first, mesh_.deadline(), home_.deadline(), keepAliveAt_});
  // Of whom it would pull; as in tick().
  if (taking_ && taking_->copy) {
    first = std::min(first, taking_->copy->deadline());
  } else if (replica_ && (taking_ || master_)) {
    first = std::min(first, replica_->deadline());
  }
  if (mayDecide()) first = std::min(first, authority_->registry.deadline());
  if (moving_) first = std::min(first, moving_->nextAt);
  first = std::min(first, reconsiderAt_);
  return first;
}

void Coordinator::tick(TimePoint now, CoordinatorEffects& fx) {
  considerFounding(now);
  rooms_.tick(now);
  if (isSingle_) {
    isDirty_ = false;
    decideAlone([&](auto& registry, auto& own) { registry.tick(now, own); }, now, fx);
    return absorbRooms(now, fx);
  }
  observe(now);
  MeshEffects mesh;
  mesh_.tick(now, mesh);
  absorb(mesh, fx);
  if (mayDecide() && now >= authority_->registry.deadline()) {
    decide([&](Registry& registry, auto& own) { registry.tick(now, own); }, now, fx);
  }
  if (now >= home_.deadline()) {
    HomeSessions::Effects home;
    home_.tick(directory(), now, home);
    deliver(home, now, fx);
  }
  Replica::Effects pulls;
  if (taking_ && taking_->copy) {
    taking_->copy->tick(now, pulls);
    pull(taking_->from, pulls, fx);
  } else if (replica_ && (taking_ || master_)) {
    replica_->tick(now, pulls);
    pull(taking_ ? taking_->from : *master_, pulls, fx);
  }
  reconsider(now, fx);
  if (moving_) moveSome(now, fx);
  absorbRooms(now, fx);
  flush(now, fx);
  absorbRooms(now, fx);  // of what was published
}

// Sends what was gathered.
void Coordinator::flush(TimePoint now, CoordinatorEffects& fx) {
  isDirty_ = false;
  const bool keepsAlive = now >= keepAliveAt_;
  if (keepsAlive) keepAliveAt_ = now + limits::kMeshBeat;
  if (mayDecide()) flushDecisions(keepsAlive, now, fx);
  if (!authority_ && master_) {
    if (stream_.isOpen() && (keepsAlive || !requests_.empty())) {
      send(*master_, stream_.wrap(std::exchange(requests_, {})), fx);
    }
    const auto version = replica_->version();
    if (version != told_ && version.epoch == masterEpoch_) {
      told_ = version;
      send(*master_, wire::Have{version}, fx);
    }
  }
  releaseHeld(fx);
  tellOwn(now, fx);
}

void Coordinator::flushDecisions(bool keepsAlive, TimePoint now, CoordinatorEffects& fx) {
  Commit commit;
  commit.deltas = authority_->publish();
  commit.sequence = authority_->publication.sequence();
  for (const auto& delta : commit.deltas) noteChange(delta, now, fx);
  if (!commit.deltas.empty()) changedDirectory(fx);
  for (auto& held : held_) {
    if (!held.sequence) held.sequence = commit.sequence;
  }
  if (keepsAlive) {
    for (const ServerNumber home : authority_->streams.homes()) authority_->answers[home];
  }
  commit.answers = std::exchange(authority_->answers, {});
  if (options_.isByEtcd) promiseDecisions(commit, now, fx);
  authority_->commits.push_back(std::move(commit));
  tellCommits(fx);
  if (keepsAlive) broadcast(authority_->publication.position(), fx);
}

// Deltas before the answers that follow from the same decisions.
void Coordinator::tellCommits(CoordinatorEffects& fx) {
  auto& commits = authority_->commits;
  for (; !commits.empty() && commits.front().promise <= kept_; commits.pop_front()) {
    auto& [promise, sequence, deltas, answers] = commits.front();
    for (const auto& delta : deltas) broadcast(delta, fx);
    for (auto& [home, messages] : answers) {
      auto batch = authority_->streams.wrap(home, std::move(messages));
      if (batch) send(home, *std::move(batch), fx);
    }
    committed_ = sequence;
  }
}

void Coordinator::tellOwn(TimePoint now, CoordinatorEffects& fx) {
  // A copy may come before the network that it is of is known, also behind one of another network.
  const bool isCopyOfMaster = replica_ && replica_->version().epoch == masterEpoch_;
  const bool isOfNetwork = authority_ || (hasFollowed_ && isCopyOfMaster);
  isFounded_ = isFounded_ || (isOfNetwork && directory().newest() != kNoOrder);
  MeshEffects mesh;
  mesh_.setOwn(ownState(), now, mesh);
  absorb(mesh, fx);
}

Mesh::Own Coordinator::ownState() const {
  return {static_cast<std::uint32_t>(home_.size()), room(), drains_ || isUnfit_,
          authority_ && !authority_->isFrozen(), isAppointed_,
          // Others see by it that this one decides, also when it has seen a higher one.
          authority_ ? authority_->epoch() : epoch_, network_, isFounded_,
          authority_
              ? wire::DirectoryVersion{authority_->epoch(), authority_->publication.sequence()}
              : replica_->version()};
}

std::size_t Coordinator::sessionCount() const {
  return isSingle_ ? authority_->registry.size() : home_.size();
}

Result<void> Coordinator::checkInvariants() const {
  if (auto sound = mesh_.checkInvariants(); !sound) return sound;
  if (!authority_ == !replica_) {
    return Error{ErrorCode::failed, "it must have a registry or a replica, and not both"};
  }
  return authority_ ? authority_->registry.checkInvariants() : Result<void>();
}

}  // namespace espalier::metaserver::cluster
