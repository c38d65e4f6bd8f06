// The part of Mesh about this process's own stalls, in which others may have taken it for dead.
#include <algorithm>

#include "common/base/limits.h"
#include "metaserver/core/cluster/mesh.h"

namespace espalier::metaserver::cluster {

void Mesh::noticeStall(TimePoint now) {
  const Duration gap = now - now_;
  if (gap < kDoubtedStall || !reachesAny()) return;
  doubt_ = Doubt{gap, self_.sequence + 1, now + limits::kMeshSilence, {}};
  for (const auto& [itsNumber, server] : known_.all()) {
    if (server.way.hops > 0) doubt_->unheard.insert(itsNumber);
  }
  hurry(now);
}

bool Mesh::reachesAny() const {
  return std::any_of(known_.all().begin(), known_.all().end(),
                     [](const auto& one) { return one.second.way.hops > 0; });
}

std::optional<Duration> Mesh::doubtedStall(TimePoint now) const {
  if (doubt_) return doubt_->stall;
  if (now - now_ < kDoubtedStall || !reachesAny()) return std::nullopt;
  return now - now_;
}

// Beats that were sent before the stall, or in it, do not have a state that is newer than it.
void Mesh::noteEchoes(ServerNumber by, const wire::Beat& beat) {
  if (!doubt_) return;
  for (const auto& state : beat.others) {
    const bool isOwn = state.number == self_.number && isSameRun(state, self_);
    if (isOwn && state.sequence >= doubt_->from) doubt_->unheard.erase(by);
  }
}

}  // namespace espalier::metaserver::cluster
