// The part of Coordinator about what is counted of the sessions of this metaserver's peers: it
// knows from the directory whether one goes on at another home.
#include <iterator>
#include <utility>

#include "metaserver/core/cluster/coordinator.h"

namespace espalier::metaserver::cluster {

// A session that has ended without a goodbye goes on elsewhere if another home has its member: now,
// or within limits::kSessionAway (noteChange()).
void Coordinator::tellSessions(metaserver::Effects& from, TimePoint now, CoordinatorEffects& fx) {
  noteRoomPeers(from, now);
  for (auto& event : from.sessions) {
    const auto* gone = std::get_if<session::Gone>(&event);
    const auto order = gone ? gone->order : kNoOrder;
    fx.peers.sessions.push_back(std::move(event));
    if (order == kNoOrder) continue;
    const MemberRow* row = directory().copy().find(order);
    const bool isElsewhere = row && row->home != kNoServer && row->home != mesh_.self().number;
    if (isElsewhere) {
      fx.peers.sessions.emplace_back(session::Elsewhere{order});
    } else {
      left_.add(order, now);
    }
  }
  from.sessions.clear();
  for (auto& asked : from.statistics) fx.peers.statistics.push_back(asked);
  from.statistics.clear();
}

// Of the directory: for its reader, for rooms, and for sessions that go on elsewhere.
void Coordinator::noteChange(const wire::Delta& delta, TimePoint now, CoordinatorEffects& fx) {
  changes_.changed(delta);
  rooms_.take(delta, now);
  isDirty_ = isDirty_ || rooms_.isDirty();
  if (left_.isEmpty()) return;
  for (const auto& row : delta.rows) {
    if (row->home == kNoServer || row->home == mesh_.self().number) continue;
    const JoinOrder order = row->contact.order;
    if (left_.take(order)) fx.peers.sessions.emplace_back(session::Elsewhere{order});
  }
}

bool Coordinator::hasMember(JoinOrder order, std::chrono::milliseconds since) const {
  if (isSingle_) return false;
  const MemberRow* row = directory().copy().find(order);
  return row && (row->since == since || row->since == std::chrono::milliseconds(0));
}

void Coordinator::tell(ServerNumber to, const wire::ClusterMessage& message,
                       CoordinatorEffects& fx) {
  if (!isSingle_) send(to, message, fx);
}

}  // namespace espalier::metaserver::cluster
