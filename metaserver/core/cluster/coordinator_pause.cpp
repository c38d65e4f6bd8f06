// The part of Coordinator that keeps a metaserver from deciding behind a stall of its own, until it
// knows whether another one decides.
#include <utility>

#include "common/base/limits.h"
#include "metaserver/core/cluster/coordinator.h"

namespace espalier::metaserver::cluster {

// Before any event is dealt with.
void Coordinator::observe(TimePoint now) {
  if (isSingle_ || options_.isByEtcd) return;
  mesh_.noticeStall(now);
  if (!mesh_.isInDoubt() || !authority_ || authority_->isFrozen()) return;
  isPaused_ = true;
  stall_ = *mesh_.doubtedStall(now);
  pauseEnd_.reset();
}

// It is not in doubt (any more). If another one decides, one of the two is to take over at once.
void Coordinator::considerPause(const View& view, TimePoint now) {
  if (!isPaused_) return;
  if (view.deciding.size() < 2) {
    pauseEnd_ = now;
  } else if (!pauseEnd_) {
    pauseEnd_ = now + 2 * limits::kHandover;
  }
  if (now < *pauseEnd_) reconsiderAt_ = *pauseEnd_;
}

// Nobody else has taken over: what has arrived meanwhile is decided now.
void Coordinator::endPause(TimePoint now, CoordinatorEffects& fx) {
  if (!isPaused_ || now < pauseEnd_.value_or(now)) return;
  if (isPauseOverfull_) return goOn(now, fx);  // under the next epoch all is asked again
  auto requests = std::move(pausedRequests_);
  auto batches = std::move(pausedBatches_);
  dropPaused();
  isDirty_ = true;
  HomeSessions::Effects home;
  home.messages = std::move(requests);
  deliver(home, now, fx);
  for (auto& [from, batch] : batches) {
    if (reached_.contains(from)) takeRequests(from, std::move(batch), now, fx);
  }
}

void Coordinator::pauseRequests(std::vector<wire::SessionMessage>& messages) {
  constexpr std::size_t kMost = limits::kPausedBatches * limits::kSessionBatch;
  for (auto& message : messages) {
    isPauseOverfull_ = isPauseOverfull_ || pausedRequests_.size() >= kMost;
    if (!isPauseOverfull_) pausedRequests_.push_back(std::move(message));
  }
}

// It is asked again of the next master, or in the next epoch.
void Coordinator::dropPaused() {
  isPaused_ = false;
  isPauseOverfull_ = false;
  pauseEnd_.reset();
  pausedRequests_.clear();
  pausedBatches_.clear();
}

}  // namespace espalier::metaserver::cluster
