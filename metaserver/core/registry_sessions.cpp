// The part of Registry about the sessions of peers: what the shell of a single metaserver is told
// of them, and when the session of a member has begun.
#include <chrono>
#include <utility>

#include "metaserver/core/registry.h"
#include "metaserver/core/session_ids.h"

namespace espalier::metaserver {

// The session that a peer that returns goes on with: of a member, or of one that was lost a moment
// ago. Else one begins, when its home says.
Registry::MemberSession Registry::sessionOf(const wire::Join& join, TimePoint now) const {
  const MemberSession begins{join.since, false};
  if (join.order == kNoOrder) return begins;
  MemberSession session = begins;
  if (const auto node = tree().find(join.id)) {
    session = directory_.record(*node).session;
  } else if (const auto lost = directory_.absent().sessionOf(join.id, join.key, join.order, now)) {
    session = *lost;
  }
  return session.since == std::chrono::milliseconds(0) ? begins : session;
}

wire::Admitted Registry::admitted(Node node, wire::Referral referral) const {
  return {network(),
          seen_.contact(node),
          maxLinks(),
          heartbeatInterval(),
          size(),
          std::move(referral),
          {},
          {},
          directory_.record(node).session.since,
          true};
}

// Once a connection. Homes do it for theirs.
void Registry::approached(Session& session, const wire::Join& join, Effects& fx) {
  if (join.order != kNoOrder || std::exchange(session.isCounted, true)) return;
  fx.sessions.reserve(2);  // it is let in most often
  fx.sessions.emplace_back(session::Approached());
}

void Registry::lostApproach(Session& session, Effects& fx) {
  if (!session.isCounted || std::exchange(session.isLost, true)) return;
  fx.sessions.emplace_back(session::LostApproach());
}

void Registry::noteHere(const Session& session, Node node, const wire::Join& join, Effects& fx) {
  const topo::Member& member = tree().member(node);
  const auto& record = directory_.record(node);
  fx.sessions.emplace_back(session::Here{member.id, member.order, record.connection,
                                         record.session.since, record.session.since == join.since,
                                         session.isCounted});
}

void Registry::noteGone(Node node, Duration ago, Effects& fx) {
  fx.sessions.emplace_back(
      session::Gone{tree().member(node).order, directory_.record(node).connection, ago});
}

// Nobody but this metaserver knows when the session of a dead home has ended.
void Registry::noteEnded(Node node, TimePoint now, Effects& fx) {
  const auto& record = directory_.record(node);
  if (record.session.since == std::chrono::milliseconds(0)) return;  // not told
  const topo::Member& member = tree().member(node);
  fx.sessions.emplace_back(
      session::Ended{member.id, member.order, record.session.since, now - record.heard});
}

// Once a session, wherever it goes on: its home is told the answer, and counts.
void Registry::rate(Node node, const wire::Rate& rate, Effects& fx) {
  auto& record = directory_.record(node);
  const bool isTaken = !std::exchange(record.session.isRated, true);
  const topo::Member& member = tree().member(node);
  if (isTaken) {
    seen_.changes().changed(node, member.order);
    if (!isTunnelled(record.connection)) {
      fx.sessions.emplace_back(session::Rating{member.id, rate.score, rate.text});
    }
  }
  fx.sends.push_back({record.connection, wire::Rated{rate.number, isTaken}});
}

std::optional<std::chrono::milliseconds> Registry::sessionSince(const PeerId& id) const {
  const auto node = tree().find(id);
  if (!node) return std::nullopt;
  return directory_.record(*node).session.since;
}

bool Registry::setRooms(const PeerId& member, std::uint64_t revision,
                        const std::vector<RoomName>& rooms) {
  const auto node = tree().find(member);
  if (!node) return false;
  auto& record = directory_.record(*node);
  if (revision < record.roomsRevision) return false;
  if (revision == record.roomsRevision && rooms == directory_.roomsOf(*node)) return false;
  record.roomsRevision = revision;
  directory_.setRooms(*node, rooms);
  seen_.changes().changed(*node, tree().member(*node).order);
  return true;
}

}  // namespace espalier::metaserver
