// The part of Registry that decides about members that do not speak: those that fall silent, those
// that are away because their metaserver died, and who takes over the place of one.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "metaserver/core/join_rules.h"
#include "metaserver/core/registry.h"
#include "metaserver/core/session_ids.h"

namespace espalier::metaserver {

// --- silence ---

void Registry::watchSilence(Node node, TimePoint now) {
  const auto& member = directory_.record(node);
  if (isTunnelled(member.connection)) return;
  silence_.push_back({now + 3 * member.heartbeat, node, member.admission});
}

void Registry::judgeSilence(TimePoint now, Effects& fx) {
  while (!silence_.empty() && silence_.front().at <= now) {
    const Due due = silence_.front();
    silence_.pop_front();
    if (!directory_.isMember(due.node, due.admission)) continue;
    const auto& member = directory_.record(due.node);
    const TimePoint silentAt = std::max<TimePoint>(
        member.heard + 3 * std::max(member.heartbeat, heartbeatInterval()), judgeFrom_);
    if (silentAt > now) {
      silence_.push_back({silentAt, due.node, due.admission});
      continue;
    }
    const ConnectionId connection = member.connection;
    fx.note(sessions_[connection].host, tree().member(due.node).id.text() + " has fallen silent");
    noteGone(due.node, now - member.heard, fx);
    sessions_.erase(connection);
    fx.closes.push_back(connection);
    lost(due.node, now, fx);
  }
}

// --- absent members ---

void Registry::wait(ConnectionId connection, const wire::Join& join, TimePoint now, Effects& fx) {
  if (!waiting_.add(connection, join)) {
    return refuse(connection, "too many wait", fx, Refusal::noRoom);
  }
  const std::string why =
      awaiting() ? "was restarted and waits for " + counted(awaitedCount(), "peer") + " of before"
      : directory_.isFounding(now)
          ? "was linked to another one, and the two agree on who decides"
          : "was restarted and waits for the peers of the network that it has lost";
  fx.sends.push_back({connection, wire::Wait{"the metaserver " + why}});
}

void Registry::probed(const PeerId& id, bool listening, TimePoint now, Effects& fx) {
  observe(now);
  const bool waited = awaiting();
  if (listening || !directory_.absent().release(id) || !waited) return;
  fx.note({}, fmt::format("{} of before is gone", id.text()));
  if (!awaiting()) endWaiting(now, fx);
}

// The absent members are back, or the time is over: newcomers may join.
void Registry::endWaiting(TimePoint now, Effects& fx) {
  if (std::exchange(awaitUntil_, kNever) != kNever) newVersion(fx);
  directory_.absent().stopAwaiting();
  waiting_.listenersFirst();
  while (!directory_.newcomersWait(now)) {
    const auto next = waiting_.takeFirst();
    if (!next) return;
    join(next->first, next->second, now, fx);
  }
}

// --- members that are away ---

void Registry::load(const std::vector<MemberRow>& rows, TimePoint now) {
  if (rows.empty()) return;
  placement_.load(rows, now);
  for (const auto& row : rows) {
    const auto node = tree().find(row.contact.id);
    if (!node) continue;
    // Of a peer that has another source, its next session moves it to the right account. One that
    // is over the bound is a member already: it stays.
    Hold place(budget_.account(Payer::host(row.contact.endpoint.host)), limits::Held::members);
    (void)place.resize(1);
    directory_.add(*node, {row.key,
                           0,
                           row.generation,
                           kNoConnection,
                           now,
                           heartbeatInterval(),
                           std::move(place),
                           {row.since, row.isRated},
                           row.home,
                           {},
                           row.roomsRevision});
    directory_.setRooms(*node, row.rooms);
    ports_.take(*node);
    becomeAway(*node, now);
  }
}

// Of several with one id the last one holds it. Their time begins anew: nobody knows how long the
// master before has waited.
void Registry::loadLost(const std::vector<wire::AbsentRow>& rows, TimePoint now) {
  for (const bool isFree : {true, false}) {
    for (const auto& row : rows) {
      if (row.isFree != isFree) continue;
      const auto& [id, order, endpoint, instance] = row.contact;
      directory_.absent().add({id, row.key, order, endpoint}, AbsentMembers::Why::lost, now,
                              budget_.account(Payer::host(endpoint.host)), !isFree);
    }
  }
}

void Registry::becomeAway(Node node, TimePoint now) {
  auto& record = directory_.record(node);
  if (record.connection != kNoConnection) record.homeBefore = homeOf(record.connection);
  record.connection = kNoConnection;
  record.heard = now;
  away_.push_back({now + limits::kAwayWait, node, record.admission, now});
  seen_.changes().changed(node, tree().member(node).order);  // its row names no home
}

void Registry::homeLost(ConnectionId connection, TimePoint now, Effects& fx) {
  observe(now);
  requests_.remove(connection);
  waiting_.remove(connection);
  const auto session = sessions_.find(connection);
  if (session == sessions_.end()) return;
  const auto member = session->second.member;
  if (member) {
    fx.note(session->second.host, tree().member(*member).id.text() + " has lost its metaserver");
    becomeAway(*member, now);
  }
  sessions_.erase(session);
}

std::vector<Registry::OwnSession> Registry::giveUpSessions(TimePoint now) {
  observe(now);
  std::vector<OwnSession> own;
  for (auto session = sessions_.begin(); session != sessions_.end();) {
    const ConnectionId connection = session->first;
    if (isTunnelled(connection)) {
      ++session;
      continue;
    }
    OwnSession one{connection, session->second.host, false, waiting_.joinOf(connection),
                   session->second.isCounted};
    if (const auto node = session->second.member) {
      const topo::Member& member = tree().member(*node);
      const auto& reported = seen_.reported(*node);
      one.isMember = true;
      one.join = wire::Join{member.id,
                            directory_.record(*node).key,
                            joinWord_,
                            member.endpoint,
                            network(),
                            member.order,
                            reported.parent,
                            reported.neighbours,
                            directory_.record(*node).generation,
                            seen_.contact(*node).instance,
                            directory_.record(*node).session.since};
      becomeAway(*node, now);
    }
    own.push_back(std::move(one));
    requests_.remove(connection);
    waiting_.remove(connection);
    session = sessions_.erase(session);
  }
  return own;
}

void Registry::resumed(ConnectionId connection, const wire::SessionResumed& session, TimePoint now,
                       Effects& fx) {
  using Kind = wire::SessionResumed::Kind;
  opened(connection, session.host, now);
  wire::Join wanted = session.join;
  const auto node = tree().find(wanted.id);
  const bool isOwn = node && directory_.record(*node).key == wanted.key;
  if (session.kind == Kind::quitting && (!isOwn || tree().member(*node).order != wanted.order)) {
    sessions_.erase(connection);  // it has quit already
    fx.closes.push_back(connection);
    return;
  }
  if (isOwn && isAway(wanted.id)) {
    const topo::Member& member = tree().member(*node);
    const bool isSameRequest =
        wanted.generation != 0 && wanted.generation == directory_.record(*node).generation;
    if (session.kind == Kind::undecided && isSameRequest) {
      // The answer was lost with the master that has decided so. A newcomer has no links.
      wanted.network = network();
      wanted.order = member.order;
      wanted.listen = member.endpoint;
      wanted.parent.reset();
      wanted.neighbours.clear();
    } else if (session.portTaken != 0 && wanted.listen.port == session.portTaken) {
      wanted.listen.port = member.endpoint.port;  // likewise, if it is another one
    }
  }
  join(connection, wanted, now, fx, session.kind != Kind::undecided);
  if (session.kind != Kind::quitting) return;
  const auto quitter = sessions_.find(connection);
  if (quitter != sessions_.end() && quitter->second.member) {
    carryOut(connection, wire::Quit(), now, fx);
  } else {  // it was not let in: nothing is left to remove
    sessions_.erase(connection);
    waiting_.remove(connection);
    fx.closes.push_back(connection);
  }
}

// A joiner has the id and the key of a member. True: nothing is left to do. Else that one is
// removed, and the joiner is to be admitted.
bool Registry::takePlaceOf(Node member, ConnectionId connection, const wire::Join& join,
                           bool returns, bool isKnown, TimePoint now, Effects& fx) {
  const auto& record = directory_.record(member);
  // A session that the peer has left: its later one is known.
  if ((returns || isKnown) && join.generation < record.generation) {
    fx.closes.push_back(connection);
    return true;
  }
  // Else it was started again, maybe on another side, which has given it another order.
  const bool goesOn = returns && tree().member(member).order == join.order;
  if (goesOn && takeOver(connection, join, isKnown, member, now, fx)) return true;
  const ConnectionId old = record.connection;  // dead, which was not noticed yet
  if (!isTunnelled(old) && !goesOn) noteGone(member, now - record.heard, fx);
  sessions_.erase(old);
  if (old != kNoConnection) fx.closes.push_back(old);
  remove(member, now, fx);
  return false;
}

// A member that returns takes over its place from a session that another metaserver held.
// `isKnown`: its home says so, not the peer. False: nothing has changed, and it is removed and
// admitted again.
bool Registry::takeOver(ConnectionId connection, const wire::Join& join, bool isKnown, Node node,
                        TimePoint now, Effects& fx) {
  auto& record = directory_.record(node);
  const ConnectionId old = record.connection;
  if (old != kNoConnection && !isTunnelled(old)) return false;
  Session& session = sessions_[connection];
  const Endpoint& endpoint = tree().member(node).endpoint;
  const std::string& host = join.listen.host.empty() ? session.host : join.listen.host;
  if (host != endpoint.host || whyHostIsRefused(host, session.host)) return false;
  if (join.listen.port != 0 && join.listen.port != endpoint.port) {
    ports_.release(node);
    seen_.setPort(node, join.listen.port);
    ports_.take(node);
  }
  if (old != kNoConnection) {
    requests_.remove(old);
    sessions_.erase(old);
    fx.closes.push_back(old);
  }
  if (!join.instance.isZero()) seen_.setInstance(node, join.instance);
  record.connection = connection;
  record.generation = join.generation;
  record.heard = now;
  if (record.session.since == std::chrono::milliseconds(0)) record.session.since = join.since;
  record.heartbeat = heartbeatInterval();
  record.place.moveTo(budget_.account(Payer::host(session.host)));
  session.member = node;
  watchSilence(node, now);
  seen_.changes().changed(node, tree().member(node).order);  // its row names its home
  wire::Referral referral = attach(node, join, true, now);
  changed(fx);
  if (!isKnown) {  // for who is resumed nothing has changed but the master
    const auto contact = seen_.contact(node);
    fx.note(session.host,
            fmt::format("{} goes on, on {}", contact.id.text(), contact.endpoint.text()));
  }
  fx.sends.push_back({connection, admitted(node, std::move(referral))});
  return true;
}

void Registry::forgetFormer(const wire::Join& join, TimePoint now, Effects& fx) {
  const auto former = formerId(join.id);
  if (!former) return;
  directory_.absent().startedAnew(*former, join.key);
  const auto node = tree().find(*former);
  const bool isSame = node && directory_.record(*node).key == join.key;
  if (!isSame || !isAway(*former)) return;
  noteEnded(*node, now, fx);
  remove(*node, now, fx);
}

void Registry::judgeAway(TimePoint now, Effects& fx) {
  while (!away_.empty() && away_.front().at <= now) {
    Away due = away_.front();
    away_.pop_front();
    if (!directory_.isMember(due.node, due.admission)) continue;
    const auto& record = directory_.record(due.node);
    if (record.connection != kNoConnection || record.heard != due.since) continue;
    const auto wait = std::max<Duration>(limits::kAwayWait, 3 * heartbeatInterval());
    due.at = std::max(due.since + wait, judgeFrom_);
    if (due.at > now) {
      away_.push_back(due);
      continue;
    }
    fx.note({}, tree().member(due.node).id.text() + " has not come back");
    noteEnded(due.node, now, fx);
    lost(due.node, now, fx);
  }
}

bool Registry::isAway(const PeerId& id) const {
  const auto node = tree().find(id);
  return node && directory_.record(*node).connection == kNoConnection;
}

Result<void> Registry::checkAway(Node node) const {
  const auto& record = directory_.record(node);
  const bool isWatched = std::any_of(away_.begin(), away_.end(), [&](const Away& away) {
    return away.node == node && away.admission == record.admission && away.since == record.heard;
  });
  if (isWatched) return {};
  return Error{ErrorCode::failed,
               fmt::format("{} is away for ever", tree().member(node).id.text())};
}

}  // namespace espalier::metaserver
