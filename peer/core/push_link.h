// A link of the tree as pushes see it: what the neighbour has been told, and what it is still to be
// told.
//
//   known pushes   those whose offer was sent or received over the link
//   news           entries of ledgers that changed since they were last sent, and ends of pushes
//   rate           news are collected for limits::kLedgerDelay and sent limits::kLedgerFlushes
//                  times in limits::kLedgerWindow at most, so a flood is not passed on as one
//   blame          each misbehaviour of the neighbour is told once
//
//   nothing to send --addNews(), addEnd()--> collecting --flush() at deadline()--> nothing to send
//                                                ^                       |
//                                                +--more than kLedgerFlushBytes--+
//
// Invariants: news are kept only of pushes in OpenPushes; while there are news, deadline() is not
// kNever.
//
// Owned and called by Pushes. Does no I/O, not thread-safe. Adding costs O(log pushes), a flush
// O(entries that are sent), blame() O(log n).
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/contact.h"
#include "common/wire/push.h"
#include "peer/core/effects.h"
#include "peer/core/ledger.h"
#include "peer/core/open_push.h"

namespace espalier::peer {

class PushLink {
 public:
  explicit PushLink(wire::Contact peer) : peer_(std::move(peer)) {}

  const wire::Contact& peer() const { return peer_; }

  bool knows(const PushId& push) const { return known_.contains(push); }
  // False: the neighbour knew the push before.
  bool setKnown(const PushId& push) { return known_.insert(push).second; }
  void forget(const PushId& push);

  // The entry has changed.
  void addNews(const PushId& push, Ledger::Index entry, TimePoint now);
  // All entries are to be sent.
  void addNews(const PushId& push, const Ledger& ledger, TimePoint now);
  // The push has ended, or the neighbour does not know that it has.
  void addEnd(const PushId& push, TimePoint now);

  // When flush() is due.
  TimePoint deadline() const;
  // Sends news over `link`, which is this link's own number: limits::kLedgerFlushBytes at a time.
  // What is left stays for the next flush.
  void flush(ConnectionId link, const OpenPushes& pushes, TimePoint now, Effects& fx);

  // `what` follows "NAME sent ".
  void blame(const std::string& what, Effects& fx);

 private:
  LedgerIndexSet& newsOf(const PushId& push, TimePoint now);

  wire::Contact peer_;
  std::set<PushId> known_;
  std::map<PushId, LedgerIndexSet> news_;  // an empty set: the end alone
  std::optional<TimePoint> newsSince_;
  std::deque<TimePoint> flushed_;  // the last limits::kLedgerFlushes flushes
  std::set<std::string> blamed_;
};

using PushLinks = std::map<ConnectionId, PushLink>;

}  // namespace espalier::peer
