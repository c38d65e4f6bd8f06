// How a peer without a parent finds one: whom it asks, in which order, and when again.
//
//          begin, referred, hint            the pause is over          Held
//   idle -------------------------> pausing -----------------> attempting ----> held
//    ^                               |   ^                          |            |
//    |  stop, or nobody left to ask  |   +-- refused, failed, ------+------------+
//    +-------------------------------+       referred on, timed out |            |
//    +------------------------- accepted, stop ---------------------+------------+
//
// The order of asking is called a pass: first the metaserver's referral, then whatever peers refer
// to (breadth first), and from contactsAt on the contacts (candidates.h). When a pass finds no
// parent the peer becomes the root of what hangs below it, if it has searched for long enough, and
// begins the next pass after a pause that doubles up to limits::kPassMost.
//
// A newcomer insists on the peer that the metaserver referred it to: that one may be about to
// listen. An orphan asks its referral twice when it is full, because the slot is free once that
// peer has noticed the same death.
//
// Invariants: at most one attempt is under way, so at most one peer can accept this one at a time;
// an attempt ends after limits::kAttachTimeout, or limits::kHoldTimeout once it was held, and a
// second Held extends nothing. That no cycle forms is Tree's affair (tree.h), whatever is tried
// here.
//
// Whom others name is dialled within its budget (dial_budget.h); what cannot be paid is put off to
// the next pass. An answer counts as that of the endpoint that was dialled, whatever endpoint it
// names.
//
// A peer whose label was driven so high that no root will better it (Tree::withinJump) is refused
// as `unanchored`. It then gives up its children: each of them attaches by itself. One acceptor may
// lie, or may have lost its root: peers of two hosts must say so, or one of them for
// limits::kReferralRetry.
//
// An endpoint where a stranger became the parent is not asked again for a minute.
//
// Owned by Membership, from when the peer listens. Does no I/O, not thread-safe; a call costs
// O(log n) for n candidates, a new pass O(n).
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/histogram.h"
#include "common/base/random.h"
#include "peer/core/candidates.h"
#include "peer/core/connection_numbers.h"
#include "peer/core/dial_budget.h"
#include "peer/core/effects.h"
#include "peer/core/known_contacts.h"
#include "peer/core/metaserver_session.h"
#include "peer/core/tree.h"

namespace espalier::peer {

class ParentSearch {
 public:
  enum class State { idle, pausing, attempting, held };

  // What this search uses; all of it outlives it.
  struct Surroundings {
    Tree& tree;
    MetaserverSession& metaserver;
    KnownContacts& contacts;
    ConnectionNumbers& numbers;
    Random& random;
    Budget& budget;
  };

  // `key` is this peer's own; its link secrets are derived from it.
  ParentSearch(const Surroundings& around, const InstanceKey& key)
      : around_(around), key_(key), dials_(around.budget) {}

  // --- why a search begins or ends
  // There is no parent; `lost` is the one that there was.
  void begin(const std::optional<PeerId>& lost, TimePoint now, Effects& fx);
  // The metaserver says where this peer belongs, which has no parent.
  void referred(const wire::Referral& referral, TimePoint now, Effects& fx);
  void metaserverLost(bool wasJoined, TimePoint now, Effects& fx);
  void stop(Effects& fx);
  // What the tree did in this step.
  void follow(const Tree::Changes& changes, TimePoint now, Effects& fx);
  // The parent, which it found by itself, is no member: it is left, and not asked again soon.
  void leaveStranger(TimePoint now, Effects& fx);
  // It was in the network once: from now on it searches as an orphan.
  void arrived() { isNewcomer_ = false; }

  // --- the attempt
  bool owns(ConnectionId connection) const {
    return isAttempting() && attempt_.connection == connection;
  }
  void received(const wire::LinkMessage& message, TimePoint now, Effects& fx);
  // The attempt's connection ended, or was never opened.
  void closed(TimePoint now, Effects& fx);

  void tick(TimePoint now, Effects& fx);
  // Takes the next step if it is due. Call it after every event.
  void advance(TimePoint now, Effects& fx);
  TimePoint deadline() const;

  State state() const { return state_; }
  bool isNewcomer() const { return isNewcomer_; }
  // How long it was without a parent, each time that it lost one: until it had another one, or was
  // the root.
  const Histogram& heals() const { return heals_; }

 private:
  // `saidBelow`: another peer says that the target is below this one.
  enum class Failure { unreachable, notNow, below, saidBelow, younger };

  struct Attempt {
    ConnectionId connection;
    wire::Contact target;
    TimePoint deadline;
  };
  struct Referral {
    wire::Contact target;
    TimePoint since;
    bool wasFull = false;  // it was asked once
  };

  bool isAttempting() const { return state_ == State::attempting || state_ == State::held; }
  void start(TimePoint contactsAt, TimePoint now);
  void parentLost(const wire::Contact& parent, bool isHeir, TimePoint now, Effects& fx);
  void hint(const NamedContact& olderRoot, TimePoint now);
  void askForReferral(wire::Seek seek, TimePoint now, Effects& fx);
  bool isShunned(const Endpoint& endpoint, TimePoint now) const;
  void refusedAsFar(TimePoint now, Effects& fx);
  bool askCandidate(TimePoint now, Effects& fx);
  void attempt(const wire::Contact& target, TimePoint now, Effects& fx);
  void accepted(const wire::Accepted& accepted, TimePoint now, Effects& fx);
  void referredOn(const wire::Referred& referred, TimePoint now, Effects& fx);
  void refuse(Failure why, TimePoint now, Effects& fx);
  void failed(Failure why, TimePoint now, Effects& fx);
  void abandonAttempt(Effects& fx);
  void loadContacts();
  void endPass(TimePoint now, Effects& fx);
  void becomeRoot(TimePoint now, Effects& fx);
  void becomeRootIfPatient(TimePoint now, Effects& fx);
  wire::LinkSecret secretFor(const wire::Contact& target) const;

  const Surroundings around_;
  const InstanceKey key_;
  DialBudget dials_;

  State state_ = State::idle;
  bool isNewcomer_ = true;  // never had a parent, nor was the root
  std::optional<TimePoint> orphanedAt_;
  Histogram heals_;
  TimePoint begun_;
  Attempt attempt_{};  // while attempting or held

  TimePoint tryAt_;                // the next attempt is not made before
  TimePoint askAgainAt_ = kNever;  // when the metaserver is asked for a referral again
  std::optional<Referral> referral_;
  // The last referral, reported as failed when the peers that it led to take this one nowhere.
  std::optional<PeerId> lastReferral_;

  Candidates candidates_;
  TimePoint contactsAt_;  // contacts are asked from then on
  bool contactsLoaded_ = false;
  unsigned passes_ = 0;
  bool waitedForOrphans_ = false;  // in this pass
  TimePoint nextHint_ = TimePoint::min();
  struct Refusal {
    std::string host;
    TimePoint since;
  };
  std::optional<Refusal> refusedAsFar_;  // the first one since there is no parent
  struct Shunned {
    Endpoint endpoint;
    TimePoint until;
  };
  std::deque<Shunned> shunned_;  // strangers
};

}  // namespace espalier::peer
