// The part of Coordinator that decides who decides: start, election, handing over, merging.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "metaserver/core/cluster/coordinator.h"

namespace espalier::metaserver::cluster {
namespace {

using namespace std::chrono_literals;

constexpr auto kStuck = 1s;       // … or displaced by another one
constexpr auto kYieldPause = 5s;  // after an heir that did not take over

const wire::ServerState* find(const std::vector<wire::ServerState>& states, ServerNumber number) {
  const auto found = std::find_if(states.begin(), states.end(),
                                  [&](const auto& one) { return one.number == number; });
  return found == states.end() ? nullptr : &*found;
}

}  // namespace

// --- what is seen ---

// The epoch of who decides has its number, and it publishes under that epoch.
bool Coordinator::decides(const wire::ServerState& state) const {
  if (options_.isByEtcd) {
    return state.isDeciding && state.name == etcdMaster_ && state.have.epoch == etcdEpoch_;
  }
  if (state.epoch.number != state.number || state.have.epoch != state.epoch) return false;
  const auto over = superseded_.find(state.number);
  return over == superseded_.end() || over->second < state.epoch;
}

// Another network, that has admitted somebody as this one has.
bool Coordinator::isForeign(const wire::ServerState& state) const {
  return isFounded_ && state.isFounded && state.network != network_;
}

std::vector<Mesh::Reached> Coordinator::others() const {
  auto others = mesh_.reachable();
  std::erase_if(others, [&](const auto& other) { return isForeign(other.state); });
  return others;
}

// Both were founded after they were linked.
void Coordinator::refuseForeign(TimePoint now, CoordinatorEffects& fx) {
  for (const auto& [state, way] : mesh_.reachable()) {
    if (!isForeign(state) || !mesh_.connectionTo(state.number)) continue;
    MeshEffects mesh;
    mesh_.refuse(state.number, CloseReason::other, agreesOnNetwork(state).error().message, now,
                 mesh);
    absorb(mesh, fx);
  }
}

bool Coordinator::isFollowedBySomebody() const {
  const auto all = others();
  return std::any_of(all.begin(), all.end(), [&](const auto& one) { return !decides(one.state); });
}

Coordinator::View Coordinator::look() const {
  View view;
  wire::ServerState self = mesh_.self();
  const Mesh::Own own = ownState();
  self.peers = own.peers;
  self.room = own.room;
  self.drains = own.drains;
  self.isDeciding = own.isDeciding;
  self.appointed = own.appointed;
  self.epoch = own.epoch;
  self.network = own.network;
  self.isFounded = own.isFounded;
  self.have = own.have;
  // This one knows whether it decides, also while it has seen a higher epoch.
  if (authority_) view.deciding.push_back(self);
  view.states.push_back(std::move(self));
  for (auto& [state, way] : others()) {
    if (decides(state)) view.deciding.push_back(state);
    view.states.push_back(std::move(state));
  }
  for (const auto& state : view.states) view.highest = std::max(view.highest, state.epoch);
  return view;
}

// The metaserver that should decide. Null: nobody but each for itself.
const wire::ServerState* Coordinator::elected(const View& view,
                                              std::optional<ServerNumber> without) const {
  std::vector<Candidate> candidates;
  std::optional<ServerNumber> sitting;
  std::size_t deciding = 0;
  for (const auto& state : view.deciding) {
    if (state.number == without) continue;
    sitting = state.number;
    ++deciding;
  }
  if (deciding != 1) sitting.reset();
  // At a vacancy only those that have the latest directory can go on with it.
  Epoch latest;
  bool isAnyFounded = false;
  for (const auto& state : view.states) {
    if (state.number == without || state.drains) continue;
    latest = std::max(latest, state.have.epoch);
    isAnyFounded = isAnyFounded || state.isFounded;
  }
  std::size_t present = 0;
  const wire::ServerState* appointed = nullptr;
  for (const auto& state : view.states) {
    if (state.number == without) continue;
    ++present;
    const bool lacksIt =
        latest != Epoch() ? state.have.epoch != latest : isAnyFounded && !state.isFounded;
    if (deciding == 0 && lacksIt) continue;
    candidates.push_back(candidateOf(state));
    const bool isNewlyAppointed = state.appointed && !state.drains && state.number != sitting;
    if (isNewlyAppointed && !appointed) appointed = &state;
  }
  if (present < 2) return nullptr;
  if (appointed) return appointed;
  if (candidates.size() == 1) {
    return candidates.front().drains ? nullptr : find(view.states, candidates.front().number);
  }
  const Candidate* first = best(options_.rule, candidates, sitting);
  return first ? find(view.states, first->number) : nullptr;
}

// --- what follows from it ---

// Called after every event that may change it.
void Coordinator::reconsider(TimePoint now, CoordinatorEffects& fx) {
  if (isSingle_) return;
  reconsiderAt_ = kNever;
  refuseForeign(now, fx);
  noteHomes(now, fx);
  View view = look();
  epoch_ = std::max(epoch_, view.highest);
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
    considerEpoch(view, now, fx);
    considerYielding(view, best, now, fx);
    if (authority_) {
      if (!authority_->isFrozen()) follow(mesh_.self().number, authority_->epoch(), now, fx);
      return;
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
  // The others are gone before they have sent anything: then the state file is all there is.
  if (replica_->version().epoch == Epoch()) return becomeDeciding(options_.registry, now, fx);
  takeOver({{replica_->version().epoch, &replica_->directory()}}, now, fx);
}

// Until this metaserver knows whether there is a network already.
void Coordinator::reconsiderStart(const View& view, TimePoint now, CoordinatorEffects& fx) {
  if (!view.deciding.empty()) {
    isStarting_ = false;
    return;
  }
  if ((namedLeft_ > 0 || mesh_.isLinking()) && now < startUntil_) return;
  const auto* best = elected(view);
  if (view.states.size() > 1 && (!best || best->number != mesh_.self().number)) return;
  isStarting_ = false;
  becomeDeciding(options_.registry, now, fx);
}

void Coordinator::considerYielding(const View& view, const wire::ServerState* best, TimePoint now,
                                   CoordinatorEffects& fx) {
  if (authority_->isFrozen()) {
    const auto* heir = find(view.states, *authority_->heir);
    if (heir && decides(*heir) && heir->epoch > authority_->epoch()) return stopDeciding(fx);
    const TimePoint over = authority_->frozenAt + limits::kHandover;
    if (!heir || now >= over) {
      yieldFrom_ = now + kYieldPause;
      fx.peers.note({}, "the next master did not take over: this one goes on");
      return goOn(now, fx);
    }
    reconsiderAt_ = over;
    return;
  }
  if (!best || best->number == mesh_.self().number || now < yieldFrom_) return;
  const bool isMerge = decides(*best);
  if (!isMerge && authority_->registry.awaiting()) return;  // whom it waits for is in no copy
  if (!isMerge && best->have.epoch != authority_->epoch()) return;  // it has no copy yet
  freeze(best->number, now, fx);
}

void Coordinator::freeze(ServerNumber heir, TimePoint now, CoordinatorEffects& fx) {
  flush(now, fx);
  authority_->heir = heir;
  authority_->frozenAt = now;
  const auto position = authority_->publication.position();
  send(heir, wire::Handover{position.of.version}, fx);
  send(heir, position, fx);
  follow(std::nullopt, {}, now, fx);
}

void Coordinator::stopDeciding(CoordinatorEffects& fx) {
  const wire::DirectoryVersion version{authority_->epoch(), authority_->publication.sequence()};
  ownNext_ = authority_->registry.nextOrder();
  replica_.emplace(random_, authority_->publication.directory(), version);
  authority_.reset();
  isAppointed_ = false;
  releaseHeld(fx);
}

// Others have the directory of a higher epoch, and who decided in it is gone: they would take
// nothing of this one.
void Coordinator::considerEpoch(const View& view, TimePoint now, CoordinatorEffects& fx) {
  const bool isOutdated =
      !authority_->isFrozen() && view.deciding.size() == 1 && view.highest > authority_->epoch();
  if (!isOutdated) return outdatedSince_.reset();
  if (!outdatedSince_) outdatedSince_ = now;
  if (now >= *outdatedSince_ + limits::kHandover) goOn(now, fx);
}

void Coordinator::goOn(TimePoint now, CoordinatorEffects& fx) {
  outdatedSince_.reset();
  const Directory directory = authority_->publication.directory();
  takeOver({{authority_->epoch(), &directory}}, now, fx);
}

void Coordinator::takeHandover(ServerNumber from, const wire::Handover& handover, TimePoint now,
                               CoordinatorEffects& fx) {
  const bool isBusy = taking_ && taking_->from != from && now < taking_->until - kTaking + kStuck;
  if (isBusy || (authority_ && authority_->isFrozen())) return;  // it is sent again
  taking_ = Taking{from, handover.last, now + kTaking, nullptr};
  if (authority_ || replica_->version().epoch != handover.last.epoch) {
    taking_->copy = std::make_unique<Replica>(random_);
  }
  progressTaking(now, fx);
}

void Coordinator::progressTaking(TimePoint now, CoordinatorEffects& fx) {
  if (!taking_) return;
  const Replica& replica = taking_->copy ? *taking_->copy : *replica_;
  const auto version = replica.version();
  if (replica.epoch() > taking_->last.epoch) return taking_.reset();  // the other one went on
  if (version.epoch != taking_->last.epoch || version.sequence < taking_->last.sequence) return;
  const View view = look();
  const auto* from = find(view.states, taking_->from);
  if (!from) return taking_.reset();  // it is gone, or was founded as another network meanwhile
  // Who has never admitted anybody takes the other's network over with its members.
  if (!isFounded_ && from->isFounded) adoptNetwork(from->network, fx);
  superseded_[taking_->from] = taking_->last.epoch;
  const auto taken = std::exchange(taking_, std::nullopt);
  std::vector<Side> sides{{version.epoch, &replica.directory()}};
  Directory own;
  if (authority_) {
    flush(now, fx);
    own = authority_->publication.directory();
    sides.push_back({authority_->epoch(), &own});
  }
  takeOver(std::move(sides), now, fx);
}

// Decides for the members of these directories.
void Coordinator::takeOver(std::vector<Side> sides, TimePoint now, CoordinatorEffects& fx) {
  Registry::Options options = options_.registry;
  options.before.clear();
  Merged merged = merge(sides);
  JoinOrder newest = kNoOrder;
  for (const Side& side : sides) newest = std::max(newest, side.directory->newest());
  for (const auto& row : merged.clashes) {
    fx.peers.note({}, fmt::format("two peers have the id {}: the one on {} must choose another",
                                  row.contact.id.text(), row.contact.endpoint.text()));
  }
  // Members of before a restart that have not come back go on being waited for.
  if (authority_ && authority_->registry.awaiting()) {
    std::set<JoinOrder> there;
    for (const auto& row : merged.rows) there.insert(row.contact.order);
    options.before = options_.registry.before;
    std::erase_if(options.before, [&](const auto& one) { return there.contains(one.order); });
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

// It takes part in the network of others: orders of joining of before were those of another one.
void Coordinator::adoptNetwork(const wire::NetworkId& network, CoordinatorEffects& fx) {
  if (network == network_ && durable_.network == network) return;
  network_ = network;
  durable_.network = network;
  durable_.ordersUpTo = kNoOrder;
  ownNext_ = kNoOrder;
  fx.durable = durable_;
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
  reservePorts();
  authority_->promised = std::move(promised);
  authority_->publication = Publication(epoch, std::move(start));
  authority_->streams = MasterStreams(epoch);
  replica_.reset();
  taking_.reset();
  vacantSince_.reset();
  acknowledged_ = 0;
  committed_ = 0;
  for (auto& held : held_) held.sequence.reset();
  changes_.reset();
  changedDirectory(fx);
  absorb(own, fx);
  follow(mesh_.self().number, epoch, now, fx);
  flush(now, fx);
  broadcast(authority_->publication.position(), fx);
}

void Coordinator::reservePorts() {
  if (!authority_) return;
  std::vector<Endpoint> all;
  const auto add = [&](const wire::ServerState& state) {
    all.push_back(state.address);
    if (state.serverPort != 0) all.push_back({state.address.host, state.serverPort});
  };
  add(mesh_.self());
  for (const auto& [state, way] : mesh_.reachable()) add(state);
  authority_->registry.setMetaservers(std::move(all));
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
    if (*master != mesh_.self().number) stream_.begin(epoch);
    home_.masterChanged(now, home);
  }
  deliver(home, now, fx);
}

// The first other metaserver: sessions go the way of a cluster's from now on.
void Coordinator::endSingle(TimePoint now, CoordinatorEffects& fx) {
  isSingle_ = false;
  for (auto& session : authority_->registry.giveUpSessions(now)) {
    home_.adopt(std::move(session), now);
  }
  if (!takeEpoch(fx)) return;
  committed_ = 0;
  Directory start;
  for (auto& row : authority_->registry.rows()) start.put(std::move(row));
  authority_->begin(epoch_, std::move(start));
  network_ = authority_->registry.network();
  isFounded_ = isFounded_ || authority_->registry.nextOrder() > JoinOrder{1};
  changes_.reset();
  changedDirectory(fx);
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
  }
  home_.setMetaservers(std::move(metaservers));
  reservePorts();
  if (reached == reached_) return;
  const auto before = std::exchange(reached_, std::move(reached));
  isDirty_ = true;
  for (const auto& [home, run] : before) {
    const auto there = reached_.find(home);
    if (there != reached_.end() && there->second == run) continue;
    superseded_.erase(home);
    if (taking_ && taking_->from == home) taking_.reset();
    if (master_ == home) follow(std::nullopt, {}, now, fx);
    if (!authority_ || authority_->isFrozen()) continue;
    authority_->answers.erase(home);
    authority_->streams.homeGone(home);
    metaserver::Effects own;
    RemoteSessions::Messages messages;
    authority_->remote.homeGone(home, now, own, messages);
    HomeSessions::Effects peers;
    route(messages, now, peers);
    absorb(own, fx);
    deliver(peers, now, fx);
  }
}

// --- what users ask for ---

Result<void> Coordinator::appoint(const ServerName& name, TimePoint now, CoordinatorEffects& fx) {
  const View view = look();
  const auto found = std::find_if(view.states.begin(), view.states.end(),
                                  [&](const auto& one) { return one.name == name; });
  if (found == view.states.end()) {
    return Error{ErrorCode::failed, fmt::format("no metaserver {} is linked", name.text())};
  }
  if (view.states.size() < 2) {
    return Error{ErrorCode::refused, fmt::format("{} is alone: there is no master", name.text())};
  }
  if (found->drains) {
    return Error{ErrorCode::refused, fmt::format("{} is about to end", name.text())};
  }
  if (found->number == mesh_.self().number) {
    isAppointed_ = true;
    tellOwn(now, fx);
    reconsider(now, fx);
  } else {
    send(found->number, wire::Appoint{}, fx);
  }
  return {};
}

Coordinator::Standing Coordinator::standing() const {
  Standing standing;
  standing.role = isSingle_     ? Role::single
                  : isStarting_ ? Role::starting
                  : authority_  ? Role::deciding
                                : Role::following;
  standing.epoch = epoch_;
  standing.isAlone = others().empty();
  if (standing.isAlone || !master_) return standing;
  standing.isMaster = *master_ == mesh_.self().number;
  standing.epoch = masterEpoch_;
  if (standing.isMaster) {
    standing.master = mesh_.self().name;
    standing.masterAddress = mesh_.self().address;
    standing.isAppointed = isAppointed_;
  }
  for (const auto& [state, way] : others()) {
    if (state.number != *master_) continue;
    standing.master = state.name;
    standing.masterAddress = state.address;
    standing.isAppointed = state.appointed;
  }
  return standing;
}

std::vector<Coordinator::ServerRow> Coordinator::servers() const {
  std::vector<ServerRow> rows;
  const View view = isSingle_ ? View{{mesh_.self()}, {}, {}} : look();
  const auto ways = others();
  const auto* master = master_ ? find(view.states, *master_) : nullptr;
  for (std::size_t i = 0; i < view.states.size(); ++i) {
    ServerRow row;
    row.state = view.states[i];
    row.isSelf = i == 0;
    row.hops = i == 0 ? 0 : ways[i - 1].way.hops;
    row.isMaster = master == &view.states[i] && view.states.size() > 1;
    if (master && row.state.have.epoch == master->have.epoch) {
      row.behind =
          std::max(master->have.sequence, row.state.have.sequence) - row.state.have.sequence;
    } else if (master) {
      row.behind = master->have.sequence;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<ServerName> Coordinator::masterWithout(const ServerName& name) const {
  const View view = look();
  const auto found = std::find_if(view.states.begin(), view.states.end(),
                                  [&](const auto& one) { return one.name == name; });
  if (found == view.states.end()) {
    return Error{ErrorCode::failed, fmt::format("no metaserver {} is linked", name.text())};
  }
  const auto* next = elected(view, found->number);
  return next ? next->name : ServerName();
}

}  // namespace espalier::metaserver::cluster
