// The part of Coordinator that decides who decides: start, election, merging.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "metaserver/core/cluster/coordinator.h"

namespace espalier::metaserver::cluster {
// Called after every event that may change it.
void Coordinator::reconsider(TimePoint now, CoordinatorEffects& fx) {
  if (isSingle_) return;
  observe(now);
  reconsiderAt_ = kNever;
  // Those whose connections have ended meanwhile are there again in a moment.
  if (!options_.isByEtcd && mesh_.isInDoubt()) return;
  const std::tuple noted(mesh_.version(), isFounded_, network_);
  if (noted != noted_) {
    noted_ = noted;
    refuseForeign(now, fx);
    noteHomes(now, fx);
  }
  View view = look();
  epoch_ = std::max(epoch_, view.highest);
  if (replica_) epoch_ = std::max(epoch_, replica_->epoch());  // it may come before the beat
  if (options_.isByEtcd) return reconsiderByEtcd(view, now, fx);
  if (isStarting_) {
    reconsiderStart(view, now, fx);
    if (isStarting_) return;
    view = look();
  }
  if (taking_ && now >= taking_->until) taking_.reset();
  // An appointment ends where two sides become one.
  if (authority_ && view.deciding.size() > 1 && std::exchange(isAppointed_, false)) view = look();
  const auto* best = elected(view);
  const bool isBest = best && best->number == mesh_.self().number;
  if (authority_) {
    considerPause(view, now);
    considerEpoch(view, best, now, fx);
    considerYielding(view, best, now, fx);
    considerRooms(best, now, fx);
    if (authority_) {
      if (authority_->isFrozen()) return;
      follow(mesh_.self().number, authority_->epoch(), now, fx);
      return endPause(now, fx);
    }
  }
  const wire::ServerState* master = nullptr;
  for (const auto& state : view.deciding) {
    if (state.number == mesh_.self().number) continue;
    if (!master || master->epoch < state.epoch) master = &state;
  }
  if (master) {
    vacantSince_.reset();
    if (!isFounded_ && !master->network.isZero()) adoptNetwork(master->network, fx);
    hasFollowed_ = true;
    return follow(master->number, master->epoch, now, fx);
  }
  follow(std::nullopt, {}, now, fx);
  if (!vacantSince_) vacantSince_ = now;
  const bool isAlone = view.states.size() == 1;
  if (!isBest && !isAlone) return;
  // Who is alone waits, too: behind a stall the others are there again in a moment.
  if (const TimePoint over = *vacantSince_ + limits::kVacancy; now < over) {
    reconsiderAt_ = over;
    return;
  }
  // The others are gone before they have sent anything: then the state file is all there is. But
  // they end the connections of a run that seems to be older than the one that they have.
  if (replica_->version().epoch == Epoch()) {
    if (!isAlone || now >= startUntil_) return becomeDeciding(options_.registry, now, fx);
    reconsiderAt_ = startUntil_;
    return;
  }
  takeOver({{replica_->version().epoch, &replica_->directory(), replica_->isAwaiting()}}, now, fx);
}

// Until this metaserver knows whether there is a network already.
void Coordinator::reconsiderStart(const View& view, TimePoint now, CoordinatorEffects& fx) {
  if (!view.deciding.empty()) {
    isStarting_ = false;
    return;
  }
  // Who was linked is there again in a moment; see reconsider().
  const bool hasLost = hasMet_ && view.states.size() == 1;
  if ((namedLeft_ > 0 || mesh_.isLinking() || hasLost) && now < startUntil_) return;
  const auto* best = elected(view);
  if (view.states.size() > 1 && (!best || best->number != mesh_.self().number)) return;
  isStarting_ = false;
  becomeDeciding(options_.registry, now, fx);
}

// Others have a directory of a higher epoch, whose decider is gone: they take nothing of this one.
void Coordinator::considerEpoch(const View& view, const wire::ServerState* best, TimePoint now,
                                CoordinatorEffects& fx) {
  Epoch decided;
  for (const auto& state : view.deciding) decided = std::max(decided, state.epoch);
  // Where several decide, the best one takes the others over, in a higher epoch. If it does not
  // decide yet, it needs the directory of one of them first, and takes no older one than its own.
  const bool isMerging = view.deciding.size() > 1 && best && decides(*best);
  const bool isOutdated =
      !authority_->isFrozen() && !view.deciding.empty() && !isMerging && view.highest > decided;
  if (!isOutdated) return outdatedSince_.reset();
  if (!outdatedSince_) outdatedSince_ = now;
  if (now >= *outdatedSince_ + limits::kHandover) goOn(now, fx);
}

void Coordinator::goOn(TimePoint now, CoordinatorEffects& fx) {
  outdatedSince_.reset();
  dropPaused();
  flush(now, fx);
  const Directory directory = authority_->publication.directory();
  takeOver({{authority_->epoch(), &directory, authority_->registry.awaiting()}}, now, fx);
}

// Decides for the members of these directories.
void Coordinator::takeOver(std::vector<Side> sides, TimePoint now, CoordinatorEffects& fx) {
  Registry::Options options = options_.registry;
  options.before.clear();
  Merged merged = merge(sides);
  JoinOrder newest = kNoOrder;
  for (const Side& side : sides) {
    newest = std::max(newest, side.directory->newest());
    epoch_ = std::max(epoch_, side.epoch);  // its next epoch is above those of all sides
  }
  for (const auto& row : merged.clashes) {
    fx.peers.note({}, fmt::format("two peers have the id {}: the one on {} gets another",
                                  row.contact.id.text(), row.contact.endpoint.text()));
  }
  // Members of before a restart that have not come back go on being waited for.
  for (auto& row : merged.absent) {
    const auto& [id, order, endpoint, instance] = row.contact;
    if (row.isBefore && !row.isFree) {
      options.before.push_back({id, row.key, order, endpoint});
    } else {
      options.lost.push_back(std::move(row));
    }
  }
  options.away = std::move(merged.rows);
  options.nextOrder = JoinOrder{number(newest) + 1};
  if (authority_) ownNext_ = authority_->registry.nextOrder();
  becomeDeciding(std::move(options), now, fx);
}

// Where its newcomers' orders begin, in the epoch that it takes next. Newcomers come behind all
// members, so an own block of before is used only if nobody has opened a prefix since.
JoinOrder Coordinator::firstOrder(JoinOrder known) const {
  const bool isOwnNetwork = durable_.network.isZero() || durable_.network == network_;
  const bool hasBlock = isOwnNetwork && durable_.ordersUpTo != kNoOrder;
  const JoinOrder own = !hasBlock              ? kNoOrder
                        : ownNext_ != kNoOrder ? ownNext_
                                               : JoinOrder{number(durable_.ordersUpTo) + 1};
  if (own >= known && own != kNoOrder) return own;
  // The prefix 0 is that of the metaserver whose network id it is.
  if (durable_.network.isZero() && partsOf(known).prefix == Epoch()) return known;
  const auto next = nextEpoch(std::max(epoch_, durable_.epoch), mesh_.self().number);
  return orderOf({next.value_or(epoch_), 1}).value_or(known);
}

// The next epoch, durable before it is used. False: there is none.
bool Coordinator::takeEpoch(CoordinatorEffects& fx) {
  const auto next = nextEpoch(std::max(epoch_, durable_.epoch), mesh_.self().number);
  if (!next) {
    fx.peers.note({}, "no epoch is left: this metaserver cannot become the master");
    return false;
  }
  epoch_ = *next;
  durable_.epoch = epoch_;
  durable_.network = network_;
  fx.durable = durable_;
  return true;
}

void Coordinator::becomeDeciding(Registry::Options options, TimePoint now, CoordinatorEffects& fx) {
  options.ordersFrom = firstOrder(options.nextOrder);
  if (!takeEpoch(fx)) return;
  options.network = network_;
  options.epoch = epoch_;
  install(std::move(options), epoch_, std::nullopt, now, fx);
}

// Decides from now on, under that epoch.
void Coordinator::install(Registry::Options options, Epoch epoch,
                          std::optional<PromisedMembers> promised, TimePoint now,
                          CoordinatorEffects& fx) {
  Directory start;
  for (MemberRow row : options.away) {
    if (promised && !promised->has(row)) continue;  // to be written
    row.home = kNoServer;
    start.put(std::move(row));
  }
  start.learnNewest(JoinOrder{number(options.nextOrder) - 1});
  metaserver::Effects own;
  authority_ = std::make_unique<Authority>(std::move(options), budget_, now, own);
  noteAwaited(fx);
  considerFounding(now);
  reservePorts();
  authority_->promised = std::move(promised);
  for (auto& row : authority_->registry.followAbsent()) start.putAbsent(std::move(row));
  authority_->publication = Publication(epoch, std::move(start));
  authority_->publication.setAwaiting(authority_->registry.awaiting());
  authority_->streams = MasterStreams(epoch);
  replica_.reset();
  taking_.reset();
  vacantSince_.reset();
  acknowledged_ = 0;
  committed_ = 0;
  for (auto& held : held_) held.sequence.reset();
  noteReplaced(now, fx);
  absorb(own, fx);
  follow(mesh_.self().number, epoch, now, fx);
  flush(now, fx);
  broadcast(authority_->publication.position(), fx);
}

// Passes this metaserver's sessions to that one. Nobody: they wait.
void Coordinator::follow(std::optional<ServerNumber> master, Epoch epoch, TimePoint now,
                         CoordinatorEffects& fx) {
  if (master == master_ && epoch == masterEpoch_) return;
  stream_.end();
  requests_.clear();
  const bool hadOne = master_.has_value();
  master_ = master;
  masterEpoch_ = epoch;
  isDirty_ = true;
  HomeSessions::Effects home;
  if (!master) {
    if (hadOne) home_.masterLost(now, home);
  } else {
    if (*master != mesh_.self().number) {
      stream_.begin(epoch);
      keepAliveAt_ = now;  // the stream begins at once: its answer is the master's position
    }
    home_.masterChanged(now, home);
  }
  deliver(home, now, fx);
  passRooms(now);
}

// The first other metaserver: sessions go the way of a cluster's from now on.
void Coordinator::endSingle(TimePoint now, CoordinatorEffects& fx) {
  isSingle_ = false;
  epoch_ = std::max(epoch_, rooms_.core().epoch());
  for (auto& session : authority_->registry.giveUpSessions(now)) {
    home_.adopt(std::move(session), now);
  }
  if (!takeEpoch(fx)) return;
  committed_ = 0;
  authority_->registry.setMembersMost(limits::kMembers);  // from now on each home counts its own
  Directory start;
  for (auto& row : authority_->registry.rows()) start.put(std::move(row));
  authority_->begin(epoch_, std::move(start));
  network_ = authority_->registry.network();
  isFounded_ = isFounded_ || authority_->registry.nextOrder() > JoinOrder{1};
  noteReplaced(now, fx);
  reserveOrders(fx);
  follow(mesh_.self().number, epoch_, now, fx);
}

// Who is reached has changed.
void Coordinator::noteHomes(TimePoint now, CoordinatorEffects& fx) {
  std::map<ServerNumber, std::chrono::milliseconds> reached;
  std::vector<Endpoint> metaservers;
  for (const auto& [state, way] : others()) {
    reached[state.number] = state.started;
    metaservers.push_back(state.address);
    if (numbers_.size() < limits::kServerAddresses || numbers_.contains(state.name)) {
      numbers_.insert_or_assign(state.name, state.number);
    }
  }
  home_.setMetaservers(std::move(metaservers));
  reservePorts();
  if (reached == reached_) return;
  const auto before = std::exchange(reached_, std::move(reached));
  isDirty_ = true;
  tellRoomsOthers(before, now);
  for (const auto& [home, run] : before) {
    const auto there = reached_.find(home);
    if (there != reached_.end() && there->second == run) continue;
    superseded_.erase(home);
    if (taking_ && taking_->from == home) taking_.reset();
    if (master_ == home) follow(std::nullopt, {}, now, fx);
    if (!authority_ || authority_->isFrozen()) continue;
    authority_->dropAnswers(home);
    authority_->streams.homeGone(home);
    metaserver::Effects own;
    RemoteSessions::Messages messages;
    authority_->remote.homeGone(home, now, own, messages);
    HomeSessions::Effects peers;
    route(messages, now, peers);
    absorb(own, fx);
    deliver(peers, now, fx);
  }
  if (!authority_ || authority_->isFrozen()) return;
  for (const auto& [home, run] : reached_) {  // who came in lacks the directory
    const auto there = before.find(home);
    if (there != before.end() && there->second == run) continue;
    send(home, authority_->publication.position(), fx);
  }
}

}  // namespace espalier::metaserver::cluster
