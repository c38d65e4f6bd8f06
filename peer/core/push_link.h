// A link of the tree as pushes see it: what the neighbour has been told, what it is still to be
// told, and what it may cost this peer.
//
//   known pushes   those whose offer was sent or received over the link
//   postponed      offers that are sent later, because the neighbour has got many, or has not
//                  answered an earlier one
//   news           entries of ledgers that changed since they were last sent, and ends of pushes
//   rate           news are collected for limits::kLedgerDelay and sent limits::kLedgerFlushes
//                  times in limits::kLedgerWindow at most, so a flood is not passed on as one
//   names          how many peers the link may add to the ledger of a push: as many as are behind
//                  it, and some more for peers that have just joined; and, at Rate::pushNames,
//                  limits::kLedgerMoved for each of them, because peers leave and move
//   claims         entries from the neighbour that are not merged yet, the greatest of each peer.
//                  The neighbour sends an entry once, so none is dropped below
//                  limits::kClaimsHeld
//   account        pays for the offers and entries that come over the link
//   blame          each misbehaviour of the neighbour is told once
//
//   nothing to send --addNews(), addEnd()--> collecting --flush() at deadline()--> nothing to send
//                                                ^                       |
//                                                +--more than kLedgerFlushBytes--+
//
// Invariants: news are kept only of pushes in OpenPushes; while there are news, deadline() is not
// kNever; there are at most limits::kClaimsHeld claims.
//
// Owned and called by Pushes. Does no I/O, not thread-safe. Adding costs O(log pushes), a flush
// O(entries that are sent), blame() O(log n), taking claims O(claims).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/wire/contact.h"
#include "common/wire/push.h"
#include "peer/core/effects.h"
#include "peer/core/ledger.h"
#include "peer/core/open_push.h"

namespace espalier::peer {

class PushLink {
 public:
  explicit PushLink(wire::Contact peer, Account account = {})
      : peer_(std::move(peer)), account_(std::move(account)) {}

  const wire::Contact& peer() const { return peer_; }
  Account& account() { return account_; }

  // Whether the metaserver knows the link from both ends.
  bool isConfirmed() const { return isConfirmed_; }
  void setConfirmed(bool isConfirmed) { isConfirmed_ = isConfirmed; }
  bool knows(const PushId& push) const { return known_.contains(push); }
  // The offer was sent to the neighbour.
  bool wasTold(const PushId& push) const;
  // The neighbour has offered the push, or said something about it.
  bool hasAnswered(const PushId& push) const;
  // Whether that is the first answer, and the offer was sent more than once.
  bool setAnswered(const PushId& push);
  void forget(const PushId& push);

  // --- offers that wait
  void postpone(const PushId& push, bool late, TimePoint now);
  // The offer was sent. It is due again later, limits::kPushOffersAgain times.
  void offerSent(const PushId& push, bool late, TimePoint now);
  // Those that are due, removed; whether each is late.
  std::vector<std::pair<PushId, bool>> takePostponed(TimePoint now);

  // Whether an offer of the neighbour may be passed to another one that it names as the sender:
  // limits::kPushes of a link are.
  bool mayReturn() { return returned_++ < limits::kPushes; }

  // --- names
  // The number of peers behind the link; 0: not known.
  void setBehind(std::uint64_t count) { behind_ = count; }
  std::uint64_t behind() const { return behind_; }
  // The link adds another peer to the ledger of the push. Otherwise, when it may try again; kNever:
  // when there are more peers behind it.
  std::optional<TimePoint> name(const PushId& push, TimePoint now);

  // --- claims
  enum class Wait {
    time,        // until `until`: its version is too far ahead, or there were many raises
    names,       // until `until`, or until there are more peers behind the link
    neighbours,  // until its peer is no neighbour any more; a loss counts from `until` on
  };
  struct Claim {
    PushId push;
    wire::PushEntry entry;
    Wait wait = Wait::time;
    TimePoint until = kNever;
  };
  // Keeps the claim, if it is greater than the one that is kept about that peer. False: it is not,
  // or there is no room.
  bool hold(Claim claim, Effects& fx);
  bool hasClaims() const { return !claims_.empty(); }
  // Removes claims and returns them: those whose time has come; all of one kind; those about a
  // peer.
  std::vector<Claim> takeClaimsDue(TimePoint now);
  std::vector<Claim> takeClaims(Wait wait);
  std::vector<Claim> takeClaimsAbout(const PeerId& peer);
  // The entry about a neighbour that is kept.
  const wire::PushEntry* claimAbout(const PushId& push, const PeerId& peer) const;

  // --- news
  // The entry has changed.
  void addNews(const PushId& push, Ledger::Index entry, TimePoint now);
  // All entries are to be sent.
  void addNews(const PushId& push, const Ledger& ledger, TimePoint now);
  // The push has ended, or the neighbour does not know that it has.
  void addEnd(const PushId& push, TimePoint now);
  // Whether flush() is due.
  bool hasNews(TimePoint now) const { return now >= flushAt(); }
  // Sends news over `link`, which is this link's own number: limits::kLedgerFlushBytes at a time.
  // What is left stays for the next flush.
  void flush(ConnectionId link, const OpenPushes& pushes, TimePoint now, Effects& fx);

  // When flush(), takePostponed() or takeClaimsDue() is due.
  TimePoint deadline() const;

  // `what` follows "NAME sent ".
  void blame(const std::string& what, Effects& fx);

 private:
  struct Known {
    bool wasTold = false;      // the offer was sent
    bool hasAnswered = false;  // the neighbour has said something about the push
    unsigned sent = 0;         // how often the offer was sent, up to limits::kPushOffersAgain
  };
  struct Postponed {
    bool isLate = false;
    TimePoint until;
  };
  LedgerIndexSet& newsOf(const PushId& push, TimePoint now);
  TimePoint flushAt() const;
  struct Names {
    std::uint64_t behind = 0;  // that took the place of a peer behind the link
    std::uint64_t moved = 0;   // that were more
  };
  template <typename Which>
  std::vector<Claim> takeClaimsIf(const Which& which);

  wire::Contact peer_;
  Account account_;
  bool isConfirmed_ = false;
  std::uint64_t behind_ = 0;
  std::map<PushId, Known> known_;
  std::map<PushId, Postponed> postponed_;
  std::size_t returned_ = 0;
  std::map<PushId, Names> named_;          // peers that the link added to the ledger
  TimePoint namesAt_ = TimePoint::min();   // when claims that are too many are tried again
  std::map<PushId, LedgerIndexSet> news_;  // an empty set: the end alone
  std::optional<TimePoint> newsSince_;
  std::deque<TimePoint> flushed_;  // the last limits::kLedgerFlushes flushes
  std::map<std::pair<PushId, PeerId>, Claim> claims_;
  TimePoint claimsAt_ = kNever;  // the earliest `until` of a claim, or before it
  std::set<std::string> blamed_;
};

using PushLinks = std::map<ConnectionId, PushLink>;

}  // namespace espalier::peer
