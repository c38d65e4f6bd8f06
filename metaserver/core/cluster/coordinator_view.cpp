// The part of Coordinator that says what this metaserver sees: who is there, who decides, who
// should, and what users ask about it.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "metaserver/core/cluster/coordinator.h"

namespace espalier::metaserver::cluster {

const wire::ServerState* Coordinator::find(const std::vector<wire::ServerState>& states,
                                           ServerNumber number) {
  const auto found = std::find_if(states.begin(), states.end(),
                                  [&](const auto& one) { return one.number == number; });
  return found == states.end() ? nullptr : &*found;
}

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
  bool isFollowed = false;
  mesh_.visitReachable([&](const wire::ServerState& state, const Way&) {
    isFollowed = isFollowed || (!isForeign(state) && !decides(state));
  });
  return isFollowed;
}

View Coordinator::look() const {
  View view;
  wire::ServerState self = mesh_.self();
  ownState().fill(self);
  // This one knows whether it decides, also while it has seen a higher epoch.
  if (authority_) view.deciding.push_back(self);
  view.states.push_back(std::move(self));
  mesh_.visitReachable([&](const wire::ServerState& state, const Way&) {
    if (isForeign(state)) return;
    if (decides(state)) view.deciding.push_back(state);
    view.states.push_back(state);
  });
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

void Coordinator::considerFounding(TimePoint now) {
  if (!founding_.begin(now) || options_.isByEtcd || !authority_) return;
  Registry& registry = authority_->registry;
  if (isFounded() || registry.size() > 0 || registry.awaiting()) {
    founding_.end();
  } else {
    mesh_.visitReachable([&](const wire::ServerState& state, const Way&) {
      if (state.network != network_ && decides(state)) founding_.sees(state, network_, now);
    });
  }
  registry.foundNotBefore(founding_.notBefore());
}

// --- the reader ---

void Coordinator::changedDirectory(CoordinatorEffects& fx) {
  ++version_;
  if (fx.peers.persists.empty()) fx.peers.persists.push_back({Persist::Durability::behind});
}

const Directory& Coordinator::directory() const {
  return authority_ ? authority_->publication.directory() : replica_->directory();
}

MemberChanges Coordinator::takeChanges(std::size_t most) {
  if (!isSingle_) return changes_.take(directory().copy(), most);
  // Only directory.db has rooms, which a single metaserver does not write. Its first change as one
  // of several is all of the directory.
  return authority_->registry.takeChanges(most, Registry::Rooms::without);
}

Coordinator::Moment Coordinator::moment() const {
  if (isSingle_) {
    const Registry& registry = authority_->registry;
    return {registry.version(), registry.awaiting(), registry.network(), registry.nextOrder()};
  }
  // While it starts, or whoever decides waits for members of before, the files stay as they are.
  const bool isAwaiting =
      isStarting_ || (authority_ ? authority_->registry.awaiting() : replica_->isAwaiting());
  return {
      version_, isAwaiting, network_,
      authority_ ? authority_->registry.nextOrder() : JoinOrder{number(directory().newest()) + 1}};
}

std::vector<Remembered> Coordinator::lostLately(std::size_t most) const {
  return authority_ ? authority_->registry.lostLately(most) : replica_->directory().lost(most);
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
    return Error{ErrorCode::refused,
                 fmt::format("{} is no candidate: it drains, or cannot write what it promises",
                             name.text())};
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

Coordinator::Standing Coordinator::standing(std::optional<TimePoint> now) const {
  Standing standing;
  standing.role = isSingle_     ? Role::single
                  : isStarting_ ? Role::starting
                  : authority_  ? Role::deciding
                                : Role::following;
  standing.epoch = epoch_;
  const wire::ServerState* master = nullptr;
  standing.isAlone = true;
  mesh_.visitReachable([&](const wire::ServerState& state, const Way&) {
    if (isForeign(state)) return;
    standing.isAlone = false;
    if (state.number == master_) master = &state;
  });
  if (authority_ && !isSingle_ && !options_.isByEtcd) {
    standing.stall = mesh_.doubtedStall(now.value_or(TimePoint()));
    if (!standing.stall && isPaused_) standing.stall = stall_;
    if (standing.stall) return standing;
  }
  if (standing.isAlone || !master_) return standing;
  standing.isMaster = *master_ == mesh_.self().number;
  standing.epoch = masterEpoch_;
  if (standing.isMaster) {
    standing.master = mesh_.self().name;
    standing.masterAddress = mesh_.self().address;
    standing.isAppointed = isAppointed_;
  }
  if (master) {
    standing.master = master->name;
    standing.masterAddress = master->address;
    standing.isAppointed = master->appointed;
  }
  return standing;
}

std::vector<Coordinator::ServerRow> Coordinator::servers() const {
  std::vector<ServerRow> rows;
  const View view = isSingle_ ? View{{mesh_.self()}, {}, {}} : look();
  const auto ways = others();
  const auto* master = master_ && !isPaused_ ? find(view.states, *master_) : nullptr;
  for (std::size_t i = 0; i < view.states.size(); ++i) {
    ServerRow row;
    row.state = view.states[i];
    row.isSelf = i == 0;
    if (isSingle_) row.state.peers = static_cast<std::uint32_t>(sessionCount());
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
