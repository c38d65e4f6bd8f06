// The part of Coordinator that hands mastership over, and that takes it over.
#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "metaserver/core/cluster/coordinator.h"

namespace espalier::metaserver::cluster {
namespace {

using namespace std::chrono_literals;

constexpr auto kStuck = 1s;       // … or displaced by another one
constexpr auto kYieldPause = 5s;  // after an heir that did not take over

}  // namespace

void Coordinator::considerYielding(const View& view, const wire::ServerState* best, TimePoint now,
                                   CoordinatorEffects& fx) {
  if (authority_->isFrozen()) {
    const auto* heir = find(view.states, *authority_->heir);
    const bool hasBegun = heir && decides(*heir) && heir->epoch > authority_->epoch();
    if (hasBegun && authority_->isTaken) return stopDeciding(fx);
    // The heir hands over itself, or has begun with another side, or its answer is under way.
    const bool isHeirFrozen = heir && decides(*heir) && !heir->isDeciding;
    if (isHeirFrozen && best && best->isDeciding && best->number != heir->number) {
      return freeze(best->number, now, fx);
    }
    if (hasBegun && authority_->heirsEpoch < heir->epoch) {
      authority_->heirsEpoch = heir->epoch;
      handOver(heir->number, now, fx);
    }
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
  dropPaused();
  flush(now, fx);
  authority_->heir = heir;
  authority_->isTaken = false;
  authority_->heirsEpoch = {};
  handOver(heir, now, fx);
  follow(std::nullopt, {}, now, fx);
}

void Coordinator::handOver(ServerNumber heir, TimePoint now, CoordinatorEffects& fx) {
  authority_->frozenAt = now;
  const auto position = authority_->publication.position();
  send(heir, wire::Handover{position.of.version}, fx);
  send(heir, position, fx);
}

void Coordinator::stopDeciding(CoordinatorEffects& fx) {
  const wire::DirectoryVersion version{authority_->epoch(), authority_->publication.sequence()};
  ownNext_ = authority_->registry.nextOrder();
  replica_.emplace(random_, authority_->publication.directory(), version,
                   authority_->registry.awaiting());
  authority_.reset();
  isAppointed_ = false;
  dropPaused();
  releaseHeld(fx);
}

void Coordinator::takeHandover(ServerNumber from, const wire::Handover& handover, TimePoint now,
                               CoordinatorEffects& fx) {
  // The answer of the heir: an epoch has the number of who decides in it.
  if (handover.last.epoch.number == mesh_.self().number) {
    if (!authority_ || handover.last.epoch != authority_->epoch()) return;
    authority_->isTaken = authority_->isTaken || authority_->heir == from;
    return reconsider(now, fx);
  }
  if (handover.last.epoch.number != from) return;
  if (const auto over = superseded_.find(from);
      over != superseded_.end() && over->second == handover.last.epoch) {
    return send(from, handover, fx);  // it does not know yet
  }
  const bool isBusy =
      taking_ && taking_->from != from && now < taking_->until - Taking::kPatience + kStuck;
  if (isBusy || (authority_ && authority_->isFrozen())) return;  // it is sent again
  taking_ = Taking{from, handover.last, now + Taking::kPatience, nullptr};
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
  send(taking_->from, wire::Handover{taking_->last}, fx);
  const auto taken = std::exchange(taking_, std::nullopt);
  std::vector<Side> sides{{version.epoch, &replica.directory(), replica.isAwaiting()}};
  Directory own;
  if (authority_) {
    dropPaused();
    flush(now, fx);
    own = authority_->publication.directory();
    sides.push_back({authority_->epoch(), &own, authority_->registry.awaiting()});
  }
  takeOver(std::move(sides), now, fx);
}

}  // namespace espalier::metaserver::cluster
