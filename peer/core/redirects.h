// Whether a peer that a metaserver sends to another one (wire::Redirect) goes there.
//
//   follow() --admitted()--> three more after kRedirectRest
//            --failed()----> none for limits::kRedirectRetryLeast, then twice as long, up to
//                            kRedirectRetryMost; the first pause again after a stay of
//                            limits::kRedirectStay
//
// Direct Connect had such a message, without these rules. Its hubs sent 100,000 clients to web
// servers, which they dialled again and again (2007). A peer therefore follows limits::kRedirects
// in a row at most, so two metaservers that send it to each other without admitting it end; and a
// metaserver that sends it to addresses where nobody admits it makes it dial ever more rarely,
// whichever they are. An admission where nobody sent it does not change that.
//
// A metaserver may move to another port every second (limits::kMigrateEveryLeast), so who was
// admitted is not in a row any more after half of that.
//
// Part of MetaserverSession, which also counts such dials among its others (metaserver_list.h) and
// in the budgets of who is dialled and who names it. Does no I/O, not thread-safe; O(1).
#pragma once

#include "common/base/clock.h"
#include "common/base/limits.h"

namespace espalier::peer {

// Where it was admitted, then it follows anew.
inline constexpr Duration kRedirectRest = std::chrono::milliseconds(500);
static_assert(2 * kRedirectRest <= limits::kMigrateEveryLeast);
static_assert(kRedirectRest < limits::kRedirectStay);

class Redirects {
 public:
  // Whether the next one is followed now. It counts only with followed().
  bool mayFollow(TimePoint now) const;
  void followed(TimePoint now);
  // The dialled one has admitted this peer.
  void admitted(TimePoint now);
  // It has not; or this peer was sent on too often.
  void failed(TimePoint now);
  // None is followed before this.
  TimePoint notBefore() const { return notBefore_; }

 private:
  bool hasStayed(Duration time, TimePoint now) const;

  unsigned inRow_ = 0;
  TimePoint admittedAt_ = kNever;  // since the last one that was followed
  Duration pause_{};
  TimePoint notBefore_{};
};

}  // namespace espalier::peer
