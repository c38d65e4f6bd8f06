#include "metaserver/core/cluster/home_sessions.h"

#include <type_traits>
#include <utility>

#include "common/base/limits.h"
#include "metaserver/core/heartbeats.h"

namespace espalier::metaserver::cluster {
namespace {

wire::SessionId idOf(ConnectionId connection) {
  return wire::SessionId{number(connection)};
}

}  // namespace

HomeSessions::HomeSessions(Budget& budget, TimePoint now)
    : requests_(budget), tickAt_(now + limits::kHeartbeatInterval), now_(now) {}

// --- connections ---

void HomeSessions::opened(ConnectionId connection, std::string host, TimePoint now, Effects& fx) {
  observe(now);
  if (sessions_.size() >= limits::kMembers || number(connection) > limits::kSessionNumber) {
    refuse(connection, "this metaserver is full", fx);
    fx.peers.closes.push_back(connection);
    return;
  }
  sessions_[connection].host = std::move(host);
}

void HomeSessions::adopt(Registry::OwnSession own, TimePoint now) {
  observe(now);
  Session& session = sessions_[own.connection];
  session.host = std::move(own.host);
  session.heard = now;
  session.isCounted = own.isCounted;
  if (!own.isMember) {
    session.isToldToWait = own.join.has_value();
    session.join = std::move(own.join);
    return;
  }
  session.member = std::move(own.join);
  session.heartbeat = interval_;
  silence_.push_back({now + 3 * interval_, own.connection});
}

const std::string* HomeSessions::hostOf(ConnectionId connection) const {
  const auto session = sessions_.find(connection);
  return session == sessions_.end() ? nullptr : &session->second.host;
}

std::vector<ConnectionId> HomeSessions::connections() const {
  std::vector<ConnectionId> connections;
  connections.reserve(sessions_.size());
  for (const auto& [connection, session] : sessions_) connections.push_back(connection);
  return connections;
}

template <typename Reply>
void HomeSessions::tellMetaservers(Session& session, Reply& reply) const {
  if (std::exchange(session.told, lists_) != lists_) reply.metaservers = metaservers_;
}

void HomeSessions::closed(ConnectionId connection, TimePoint now, Effects& fx) {
  observe(now);
  const auto session = sessions_.find(connection);
  if (session == sessions_.end()) return;
  if (session->second.isQuitting) {
    requests_.remove(connection);
    session->second.isGone = true;  // until the master has removed it
    return;
  }
  if (session->second.join) lostApproach(session->second, fx);
  end(session, Duration(0), fx);
}

// Without Quit. It was heard last `ago`.
void HomeSessions::end(Sessions::iterator session, Duration ago, Effects& fx) {
  noteGone(session, ago, fx);
  if (session->second.isOpen) fx.messages.emplace_back(wire::SessionEnded{idOf(session->first)});
  erase(session);
}

void HomeSessions::erase(Sessions::iterator session) {
  requests_.remove(session->first);
  sessions_.erase(session);
}

// --- requests ---

void HomeSessions::received(ConnectionId connection, const wire::RegistryRequest& request,
                            const Directory& directory, TimePoint now, Effects& fx) {
  observe(now);
  const auto session = sessions_.find(connection);
  if (session == sessions_.end() || session->second.isQuitting) return;
  const std::string& host = session->second.host;
  const auto& member = session->second.member;
  metaserver::Effects paid;
  const bool isPaid =
      requests_.admit({connection, host, member ? &member->id : nullptr}, request, now, paid);
  takeFromBudget(std::move(paid), fx);
  if (isPaid) carryOut(session, request, directory, now, fx);
}

void HomeSessions::carryOut(Sessions::iterator session, const wire::RegistryRequest& request,
                            const Directory& directory, TimePoint now, Effects& fx) {
  const ConnectionId connection = session->first;
  Session& state = session->second;
  auto& sends = fx.peers.sends;
  state.heard = now;
  if (const auto* wanted = std::get_if<wire::TopologyRequest>(&request)) {
    wire::Topology topology;
    if (wanted->id.empty()) {
      topology.entries =
          directory.copy().entries(wanted->after, limits::kFrameBytes * 3 / 4, topology.more);
    } else if (const MemberRow* row = directory.copy().find(wanted->id);
               row != nullptr && row->contact.order > wanted->after) {
      topology.entries.push_back(directory.copy().entry(*row));
    }
    topology.number = wanted->number;
    sends.push_back({connection, std::move(topology)});
  } else if (const auto* members = std::get_if<wire::MembersRequest>(&request)) {
    sends.push_back({connection, wire::Members{directory.count(), directory.newest(),
                                               members->number, directory.orders()}});
  } else if (std::holds_alternative<wire::RegistryHeartbeat>(request)) {
    state.heartbeat = heartbeatIntervalFor(directory.count());
    wire::RegistryHeartbeatReply reply{state.heartbeat};
    tellMetaservers(state, reply);
    sends.push_back({connection, std::move(reply)});
  } else if (const auto* wish = std::get_if<wire::Join>(&request)) {
    join(session, *wish, fx);
  } else if (!state.member) {
    refuse(connection, "join first", fx);
  } else if (const auto* asked = std::get_if<wire::StatisticsRequest>(&request)) {
    fx.peers.statistics.push_back({connection, *asked});
  } else if (auto rooms = roomsAsked(request)) {
    fx.peers.rooms.push_back({connection, *std::move(rooms)});
  } else if (std::holds_alternative<wire::Quit>(request)) {
    quit(session, fx);
  } else if (const auto* rate = std::get_if<wire::Rate>(&request); rate && state.rate) {
    // The first one is open still: it is what the master counts.
    if (rate->number == state.rate->number) return;
    sends.push_back({connection, wire::Rated{rate->number, false}});
  } else {
    remember(state, request);
    forward(session, request, fx);
  }
}

void HomeSessions::join(Sessions::iterator session, const wire::Join& join, Effects& fx) {
  Session& state = session->second;
  if (state.member) return refuse(session->first, "this peer has joined already", fx);
  if (!state.join) state.isJoinForwarded = false;  // the one before was refused
  if (turnAway_ && !state.isJoinForwarded) {
    if (auto answer = turnAway_(state.host)) {
      if (std::holds_alternative<wire::Failure>(*answer)) {
        approached(state, join, fx);
        lostApproach(state, fx);
      }
      fx.peers.sends.push_back({session->first, *std::move(answer)});
      return;
    }
  }
  approached(state, join, fx);
  state.join = join;
  if (!hasMaster_) return tellToWait(session, fx);
  state.isJoinForwarded = true;
  forward(session, join, fx);
}

void HomeSessions::remember(Session& session, const wire::RegistryRequest& request) {
  if (const auto* links = std::get_if<wire::Links>(&request)) {
    session.member->parent = links->parent;
    session.member->neighbours = links->neighbours;
    session.links.reset();
    if (links->number != 0) session.links = *links;
    if (links->parent) session.seek.reset();
  } else if (const auto* seek = std::get_if<wire::Seek>(&request)) {
    session.seek = *seek;
  } else if (const auto* taken = std::get_if<wire::PortTaken>(&request)) {
    // Of another port, it is not answered: the peer has been assigned a new one.
    if (taken->port == session.member->listen.port) session.portTaken = *taken;
  } else if (const auto* rate = std::get_if<wire::Rate>(&request)) {
    session.rate = *rate;
    session.isRateResent = false;
  }
}

void HomeSessions::quit(Sessions::iterator session, Effects& fx) {
  session->second.isQuitting = true;
  fx.peers.sessions.emplace_back(session::Left{session->second.member->order});
  if (hasMaster_) return forward(session, wire::Quit(), fx);
  fx.peers.closes.push_back(session->first);  // the next master is told
}

void HomeSessions::forward(Sessions::iterator session, const wire::RegistryRequest& request,
                           Effects& fx) {
  if (!hasMaster_) return;
  const auto id = idOf(session->first);
  if (!std::exchange(session->second.isOpen, true)) {
    fx.messages.emplace_back(wire::SessionOpened{id, session->second.host});
  }
  fx.messages.emplace_back(wire::SessionRequest{id, request});
}

void HomeSessions::refuse(ConnectionId connection, std::string why, Effects& fx) {
  fx.peers.sends.push_back({connection, wire::Failure{ErrorCode::refused, std::move(why)}});
}

void HomeSessions::tellToWait(Sessions::iterator session, Effects& fx) {
  if (std::exchange(session->second.isToldToWait, true)) return;
  fx.peers.sends.push_back({session->first, wire::Wait{waitReason_}});
}

// --- the master comes and goes ---

void HomeSessions::masterLost(TimePoint now, Effects& fx) {
  observe(now);
  hasMaster_ = false;
  for (auto session = sessions_.begin(); session != sessions_.end(); ++session) {
    forgetMaster(session, fx);
    if (session->second.join) tellToWait(session, fx);
    // The next master is told. Its peer need not wait for that.
    const bool isLeaving = session->second.isQuitting && !session->second.isGone;
    if (isLeaving) fx.peers.closes.push_back(session->first);
  }
}

void HomeSessions::forgetMaster(Sessions::iterator session, Effects& fx) {
  session->second.isOpen = false;
  session->second.isResuming = false;
  setWaiting(session, session->second.waitsHere, false, fx);
}

void HomeSessions::masterChanged(TimePoint now, Effects& fx) {
  observe(now);
  hasMaster_ = true;
  for (auto session = sessions_.begin(); session != sessions_.end(); ++session) {
    forgetMaster(session, fx);
    session->second.isToldToWait = false;
    resume(session, fx);
  }
}

void HomeSessions::resume(Sessions::iterator session, Effects& fx) {
  using Kind = wire::SessionResumed::Kind;
  Session& state = session->second;
  wire::SessionResumed resumed{idOf(session->first), Kind::member, state.host, {}, 0};
  if (!state.member) {
    if (!state.join) return;  // it is opened with its first request
    if (!std::exchange(state.isJoinForwarded, true)) return forward(session, *state.join, fx);
    resumed.kind = Kind::undecided;
    resumed.join = *state.join;
  } else {
    if (state.isQuitting) resumed.kind = Kind::quitting;
    if (state.portTaken) resumed.portTaken = state.portTaken->port;
    resumed.join = *state.member;
    state.isResuming = true;
  }
  state.isOpen = true;
  fx.messages.push_back(std::move(resumed));
  if (!state.member || state.isQuitting) return;
  if (state.portTaken) forward(session, *state.portTaken, fx);
  if (state.links) forward(session, *state.links, fx);
  if (state.seek) forward(session, *state.seek, fx);
  if (!state.rate) return;
  state.isRateResent = true;
  forward(session, *state.rate, fx);
}

// --- answers ---

void HomeSessions::received(wire::SessionAnswer message, TimePoint now, Effects& fx) {
  observe(now);
  std::visit(
      [&](auto& one) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(one)>, wire::SessionRoomAnswer>) {
          const auto session = sessions_.find(ConnectionId{wire::number(one.session)});
          if (session == sessions_.end() || !session->second.isOpen) return;
          take(session, std::move(one), now, fx);
        }
      },
      message);
}

void HomeSessions::take(Sessions::iterator session, wire::SessionReply reply, TimePoint now,
                        Effects& fx) {
  Session& state = session->second;
  if (state.isQuitting) return;
  auto& answer = reply.reply;
  const bool isRefused = std::holds_alternative<wire::Failure>(answer) ||
                         std::holds_alternative<wire::WordRefused>(answer);
  if (auto* failure = std::get_if<wire::Failure>(&answer); failure && failure->isNoRoom) {
    lostApproach(state, fx);
  }
  if (auto* admitted = std::get_if<wire::Admitted>(&answer)) {
    if (!takeAdmitted(session, *admitted, now, fx)) return;
    tellMetaservers(state, *admitted);
  } else if (isRefused && state.isResuming) {
    fx.peers.closes.push_back(session->first);
    return end(session, Duration(0), fx);
  } else if (std::holds_alternative<wire::Wait>(answer)) {
    if (state.member) return;
  } else if (isRefused) {
    state.join.reset();
    state.portTaken.reset();
  } else if (std::holds_alternative<wire::Referral>(answer)) {
    state.seek.reset();
  } else if (auto* rated = std::get_if<wire::Rated>(&answer)) {
    takeRated(state, *rated, fx);
  } else if (const auto* strangers = std::get_if<wire::Strangers>(&answer)) {
    if (state.links && state.links->number == strangers->number) state.links.reset();
  }
  fx.peers.sends.push_back({session->first, std::move(reply.reply)});
}

// Whether the peer is told.
bool HomeSessions::takeAdmitted(Sessions::iterator session, const wire::Admitted& admitted,
                                TimePoint now, Effects& fx) {
  Session& state = session->second;
  const auto& [id, order, endpoint, instance] = admitted.self;
  const bool resumes = std::exchange(state.isResuming, false);
  if (!state.member) {
    if (!state.join) return false;  // no request of it is open
    state.member = std::exchange(state.join, std::nullopt);
    if (state.member->order != order) {  // a newcomer has no links, whatever it said
      state.member->parent.reset();
      state.member->neighbours.clear();
    }
    silence_.push_back({now + 3 * admitted.heartbeatInterval, session->first});
    noteHere(session, admitted, fx);
  } else if (state.member->order != order) {
    fx.peers.closes.push_back(session->first);
    end(session, Duration(0), fx);
    return false;
  } else if (resumes && state.member->listen == endpoint) {
    return false;
  }
  state.member->network = admitted.network;
  state.member->order = order;
  state.member->listen = endpoint;
  if (state.portTaken && state.portTaken->port != endpoint.port) state.portTaken.reset();
  state.heard = now;
  state.heartbeat = admitted.heartbeatInterval;
  return true;
}

void HomeSessions::take(Sessions::iterator session, const wire::SessionClosed&, TimePoint,
                        Effects& fx) {
  if (!session->second.isGone) fx.peers.closes.push_back(session->first);
  noteGone(session, Duration(0), fx);
  erase(session);
}

void HomeSessions::take(Sessions::iterator session, const wire::SessionReading& reading, TimePoint,
                        Effects& fx) {
  setWaiting(session, session->second.waitsHere, !reading.goesOn, fx);
}

}  // namespace espalier::metaserver::cluster
