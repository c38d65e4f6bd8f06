// Reports this peer's links to the metaserver, and asks with each report who of the neighbours is a
// stranger (link_check.h).
//
// Links are reported when they change, at the rate of Rate::reports: those that come and go often
// are reported together. They are reported again when LinkCheck wants to ask again.
//
// Owned by Membership. Does no I/O, not thread-safe; O(n log n) a call for n neighbours.
#pragma once

#include <algorithm>
#include <map>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/wire/registry.h"
#include "peer/core/effects.h"
#include "peer/core/link_check.h"
#include "peer/core/metaserver_session.h"
#include "peer/core/tree.h"

namespace espalier::peer {

wire::Links linksOf(const Tree& tree);

class LinkReports {
 public:
  // `session` is borrowed.
  LinkReports(MetaserverSession& session, Budget& budget)
      : session_(session), all_(budget.account(Payer())) {}

  // The links are to be reported soon.
  void linksChanged(TimePoint now) {
    sendAt_ = std::min(sendAt_, all_.affordableAt(limits::Rate::reports, now));
  }
  // Reports what is due. Call it after every event.
  void advance(const Tree& tree, TimePoint now, Effects& fx);
  // Reports at once.
  void send(const Tree& tree, TimePoint now, Effects& fx);
  // What the metaserver says of each neighbour.
  std::map<ConnectionId, LinkCheck::Standing> answered(const wire::Strangers& answer,
                                                       TimePoint now) {
    return check_.answered(answer, now);
  }
  // The metaserver is out of reach.
  void stop() {
    check_.stop();
    sendAt_ = kNever;
  }
  TimePoint deadline() const { return sendAt_ == kNever ? check_.deadline() : sendAt_; }

 private:
  MetaserverSession& session_;
  Account all_;  // of the process
  LinkCheck check_;
  TimePoint sendAt_ = kNever;
};

}  // namespace espalier::peer
