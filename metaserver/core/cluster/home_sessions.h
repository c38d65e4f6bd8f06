// The sessions of a home with its peers. What must be decided goes to the master; topology, members
// and heartbeats are answered from the home's copy of the directory. remote_sessions.h is the other
// side. A change of masters is not seen by the peers: this class remembers what each member has
// told and was told, and which requests were not answered, and resumes all at the next master.
//
//   a session:  newcomer --Join--> undecided --Admitted--> member --Quit--> quitting --> gone
//                  ^------ refused -----+                    +--it ends, or is silent--> gone
//
//   the master: none --masterChanged()--> there --masterLost()--> none
//
// While there is no master, requests wait: the latest one of each kind, but the first Rate: another
// one is refused until that is answered. A newcomer gets one Wait.
// An unanswered request is sent again to the next master, which must not decide it twice:
//
//   Join       SessionResumed::Kind::undecided: the registry resumes what the old one has decided,
//              if that was copied to it. No peer was told anything else.
//   PortTaken  named by SessionResumed, likewise.
//   Links      the resumption has them; those with a number are sent again for their answer.
//   Seek       asks for the same slot.
//   Quit       Kind::quitting.
//   Rate       a session is rated once: if the new master knows it as rated, it was this rating.
//
// The answer to a resumption is not passed on, unless the peer waits for it or has another endpoint
// by now. A member that the new master refuses, or gives another order, loses its connection: it
// comes back as a member that returns, and hears the answer itself.
//
// Invariants: a session is open at the master, or `isOpen` is false; a member's `member` is the
// Join that resumes it. Silence is judged here as Registry does it for its own connections: three
// heartbeats, not counting those that this process missed.
//
// Budgets: as at a single metaserver (waiting_requests.h), before anything is forwarded.
// Bounds: limits::kMembers sessions, for each one request of each kind, and those that wait for its
// budget.
//
// Does no I/O. Not thread-safe. O(log sessions) a message, and what the directory's answers cost;
// a change of masters O(sessions).
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/wire/cluster_sessions.h"
#include "metaserver/core/cluster/directory.h"
#include "metaserver/core/effects.h"
#include "metaserver/core/registry.h"
#include "metaserver/core/waiting_requests.h"

namespace espalier::metaserver::cluster {

class HomeSessions {
 public:
  struct Effects {
    metaserver::Effects peers;  // for the home's own connections, and what is counted of them
    std::vector<wire::SessionMessage> messages;  // to the master, in this order
  };

  // `budget` is borrowed.
  HomeSessions(Budget& budget, TimePoint now);

  // --- events of peers. `directory`: the home's copy.
  // Connections are at most limits::kSessionNumber.
  void opened(ConnectionId connection, std::string host, TimePoint now, Effects& fx);
  void received(ConnectionId connection, const wire::RegistryRequest& request,
                const Directory& directory, TimePoint now, Effects& fx);
  void closed(ConnectionId connection, TimePoint now, Effects& fx);
  // A session of this process's registry until now; its connection is new here. While there is no
  // master.
  void adopt(Registry::OwnSession session, TimePoint now);
  // The answer to a newcomer that this metaserver does not take; nothing: it does. Asked once the
  // newcomer has paid for its Join.
  using TurnAway = std::function<std::optional<wire::RegistryReply>(const std::string& host)>;
  void setTurnAway(TurnAway turnAway) { turnAway_ = std::move(turnAway); }
  // What newcomers are told while there is no master; printable.
  void setWaitReason(std::string reason) { waitReason_ = std::move(reason); }
  // Where else its peers can go: they are told. Limits::kMetaserversTold at most.
  void setMetaservers(std::vector<Endpoint> metaservers) {
    if (metaservers == metaservers_) return;
    metaservers_ = std::move(metaservers);
    ++lists_;
  }

  // The peer goes to another metaserver, or to another address of this one.
  void redirect(ConnectionId connection, const wire::Redirect& redirect, Effects& fx) {
    if (sessions_.contains(connection)) fx.peers.sends.push_back({connection, redirect});
  }

  // --- events of the master
  void received(wire::SessionAnswer message, TimePoint now, Effects& fx);
  void masterLost(TimePoint now, Effects& fx);
  // A new master, or the same one after its loss. Resumes all sessions.
  void masterChanged(TimePoint now, Effects& fx);

  void tick(const Directory& directory, TimePoint now, Effects& fx);
  TimePoint deadline() const { return std::min(tickAt_, requests_.deadline()); }

  // --- queries
  std::size_t size() const { return sessions_.size(); }
  // None: there is no such session, or it has not joined.
  bool isMember(ConnectionId connection) const {
    const auto session = sessions_.find(connection);
    return session != sessions_.end() && session->second.member.has_value();
  }
  const std::string* hostOf(ConnectionId connection) const;
  std::vector<ConnectionId> connections() const;
  bool hasMaster() const { return hasMaster_; }

 private:
  struct Session {
    std::string host;
    std::optional<wire::Join> member;
    TimePoint heard{};
    std::chrono::milliseconds heartbeat{0};  // the interval that was sent to it
    bool isOpen = false;                     // at the master
    bool isResuming = false;                 // the answer to SessionResumed is to come
    bool isQuitting = false;
    bool isGone = false;  // quitting, and its connection has ended
    bool isToldToWait = false;
    std::uint64_t told = 0;   // which of the lists of metaservers; 0: none
    bool waitsHere = false;   // for its budget
    bool waitsThere = false;  // the master has told so
    // What was not answered.
    std::optional<wire::Join> join;
    bool isJoinForwarded = false;
    std::optional<wire::PortTaken> portTaken;
    std::optional<wire::Links> links;
    std::optional<wire::Seek> seek;
    std::optional<wire::Rate> rate;
    bool isRateResent = false;
    bool isRated = false;    // as far as this home knows
    bool isCounted = false;  // there was an Approached
    bool isLost = false;     // and a LostApproach
  };
  using Sessions = std::map<ConnectionId, Session>;
  struct Due {
    TimePoint at;
    ConnectionId connection;
  };

  void carryOut(Sessions::iterator session, const wire::RegistryRequest& request,
                const Directory& directory, TimePoint now, Effects& fx);
  void join(Sessions::iterator session, const wire::Join& join, Effects& fx);
  void remember(Session& session, const wire::RegistryRequest& request);
  void quit(Sessions::iterator session, Effects& fx);
  void forward(Sessions::iterator session, const wire::RegistryRequest& request, Effects& fx);
  void refuse(ConnectionId connection, std::string why, Effects& fx);
  void tellToWait(Sessions::iterator session, Effects& fx);
  void resume(Sessions::iterator session, Effects& fx);

  void take(Sessions::iterator session, wire::SessionReply reply, TimePoint now, Effects& fx);
  void take(Sessions::iterator session, const wire::SessionClosed& closed, TimePoint now,
            Effects& fx);
  void take(Sessions::iterator session, const wire::SessionReading& reading, TimePoint now,
            Effects& fx);
  bool takeAdmitted(Sessions::iterator session, const wire::Admitted& admitted, TimePoint now,
                    Effects& fx);

  // --- home_sessions_time.cpp
  void approached(Session& session, const wire::Join& join, Effects& fx);
  void lostApproach(Session& session, Effects& fx);
  void noteHere(Sessions::iterator at, const wire::Admitted& admitted, Effects& fx);
  void noteGone(Sessions::iterator at, Duration ago, Effects& fx);
  void takeRated(Session& session, wire::Rated& rated, Effects& fx);

  void end(Sessions::iterator session, Duration ago, Effects& fx);
  void erase(Sessions::iterator session);
  void takeFromBudget(metaserver::Effects paid, Effects& fx);
  void setWaiting(Sessions::iterator session, bool here, bool there, Effects& fx);
  void forgetMaster(Sessions::iterator session, Effects& fx);
  void judgeSilence(TimePoint now, Effects& fx);
  void observe(TimePoint now);

  template <typename Reply>
  void tellMetaservers(Session& session, Reply& reply) const;

  WaitingRequests requests_;
  Sessions sessions_;
  TurnAway turnAway_;
  std::string waitReason_ = "the metaservers have no master at the moment";
  std::vector<Endpoint> metaservers_;
  std::uint64_t lists_ = 0;  // how many lists of metaservers there were
  bool hasMaster_ = false;
  std::deque<Due> silence_;  // one a session that became a member
  std::chrono::milliseconds interval_ = limits::kHeartbeatInterval;
  TimePoint judgeFrom_ =
      TimePoint::min();  // after a stall of this process silence counts from here
  TimePoint tickAt_;
  TimePoint now_;  // of the latest event
};

}  // namespace espalier::metaserver::cluster
