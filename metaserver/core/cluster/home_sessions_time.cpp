// The part of HomeSessions about budgets, silence, and what is counted of sessions.
#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "metaserver/core/cluster/home_sessions.h"
#include "metaserver/core/heartbeats.h"

namespace espalier::metaserver::cluster {

// --- what is counted (sessions/sessions.h) ---

// Once a connection.
void HomeSessions::approached(Session& session, const wire::Join& join, Effects& fx) {
  if (join.order != kNoOrder || std::exchange(session.isCounted, true)) return;
  fx.peers.sessions.emplace_back(session::Approached());
}

void HomeSessions::lostApproach(Session& session, Effects& fx) {
  if (!session.isCounted || session.member || std::exchange(session.isLost, true)) return;
  fx.peers.sessions.emplace_back(session::LostApproach());
}

// The master says when the session has begun, unless it is of the version before.
void HomeSessions::noteHere(Sessions::iterator at, const wire::Admitted& admitted, Effects& fx) {
  Session& session = at->second;
  const auto asked = session.member->since;
  if (admitted.since != std::chrono::milliseconds(0)) session.member->since = admitted.since;
  fx.peers.sessions.emplace_back(session::Here{admitted.self.id, admitted.self.order, at->first,
                                               session.member->since,
                                               session.member->since == asked, session.isCounted});
}

// It may go on at another home: the shell waits for that.
void HomeSessions::noteGone(Sessions::iterator at, Duration ago, Effects& fx) {
  const Session& session = at->second;
  if (!session.member || session.isQuitting) return;
  fx.peers.sessions.emplace_back(session::Gone{session.member->order, at->first, ago});
}

// A rating that was sent again may be the one that the master before has taken.
void HomeSessions::takeRated(Session& session, wire::Rated& rated, Effects& fx) {
  const bool isAnswer = session.rate && session.rate->number == rated.number;
  if (isAnswer && session.isRateResent && !session.isRated) rated.isTaken = true;
  session.isRated = true;
  if (!isAnswer) return;
  if (rated.isTaken) {
    fx.peers.sessions.emplace_back(
        session::Rating{session.member->id, session.rate->score, session.rate->text});
  }
  session.rate.reset();
}

// --- the budget ---

void HomeSessions::takeFromBudget(metaserver::Effects paid, Effects& fx) {
  for (auto& send : paid.sends) fx.peers.sends.push_back(std::move(send));
  for (const auto& reading : paid.readings) {
    const auto session = sessions_.find(reading.from);
    if (session == sessions_.end()) continue;
    setWaiting(session, !reading.goesOn, session->second.waitsThere, fx);
  }
  for (const ConnectionId connection : paid.closes) fx.peers.closes.push_back(connection);
}

// It is read from unless it waits here or there.
void HomeSessions::setWaiting(Sessions::iterator session, bool here, bool there, Effects& fx) {
  Session& state = session->second;
  const bool before = state.waitsHere || state.waitsThere;
  state.waitsHere = here;
  state.waitsThere = there;
  if (before != (here || there)) fx.peers.readings.push_back({session->first, before});
}

// --- time ---

void HomeSessions::observe(TimePoint now) {
  // tick() is called at least every heartbeat interval. A longer gap: this process stood still.
  if (now - now_ > limits::kHeartbeatInterval + limits::kStall) judgeFrom_ = now + 3 * interval_;
  now_ = now;
}

void HomeSessions::tick(const Directory& directory, TimePoint now, Effects& fx) {
  interval_ = heartbeatIntervalFor(directory.count());
  observe(now);
  metaserver::Effects paid;
  while (const auto due = requests_.takeDue(now, paid)) {
    takeFromBudget(std::exchange(paid, {}), fx);
    const auto session = sessions_.find(due->connection);
    if (session == sessions_.end() || session->second.isQuitting) continue;
    carryOut(session, due->request, directory, now, fx);
  }
  takeFromBudget(std::move(paid), fx);
  if (now < tickAt_) return;
  tickAt_ = now + limits::kHeartbeatInterval / 2;
  judgeSilence(now, fx);
}

void HomeSessions::judgeSilence(TimePoint now, Effects& fx) {
  while (!silence_.empty() && silence_.front().at <= now) {
    const ConnectionId connection = silence_.front().connection;
    silence_.pop_front();
    const auto session = sessions_.find(connection);
    if (session == sessions_.end() || session->second.isQuitting) continue;
    const Session& state = session->second;
    const TimePoint silentAt =
        std::max<TimePoint>(state.heard + 3 * std::max(state.heartbeat, interval_), judgeFrom_);
    if (silentAt > now) {
      silence_.push_back({silentAt, connection});
      continue;
    }
    fx.peers.note(state.host, state.member->id.text() + " has fallen silent");
    fx.peers.closes.push_back(connection);
    end(session, now - state.heard, fx);
  }
}

}  // namespace espalier::metaserver::cluster
