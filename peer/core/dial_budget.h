// Whether a peer that others named may be dialled, and what that costs.
//
// A dial is paid by its target, whoever named it (Rate::dials of the endpoint and of the machine),
// and by who named it (Rate::namedDials). So nobody makes this peer dial one target often, and what
// one neighbour names uses up nobody else's dials. The metaserver's referrals have a part of their
// own (Rate::referrals), so hearsay never delays them.
//
// Part of ParentSearch. Does no I/O, not thread-safe; O(log n) a call for n payers.
#pragma once

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/wire/contact.h"
#include "peer/core/named_contact.h"

namespace espalier::peer {

class DialBudget {
 public:
  enum class Answer {
    now,     // it is paid
    notYet,  // its part, or that of who named it, is used up; others may be dialled meanwhile
    later,   // the process dials too much; see nextAt()
    never,   // nobody can be dialled there
  };

  // `budget` is borrowed.
  explicit DialBudget(Budget& budget) : budget_(budget), all_(budget.account(Payer())) {}

  // Whether somebody other than `self` listens there.
  static bool isElsewhere(const wire::Contact& target, const wire::Contact& self);
  Answer pay(const NamedContact& target, const wire::Contact& self, TimePoint now);
  // When pay() may answer something else than `later`.
  TimePoint nextAt(TimePoint now) const;

  bool payReferral(TimePoint now) { return all_.spend(limits::Rate::referrals, now); }
  TimePoint nextReferralAt(TimePoint now) const {
    return all_.affordableAt(limits::Rate::referrals, now);
  }

 private:
  Budget& budget_;
  Account all_;  // of the process
};

}  // namespace espalier::peer
