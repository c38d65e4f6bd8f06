// Chooses the sources from which this peer takes one push: one source for each stripe. The bytes
// do not pass through here. The shell is told each choice (PushTakeFrom), and reports when a source
// has failed.
//
// The phases, counted from the construction:
//
//   forming    until all peers before this one have decided, at most limits::kPushForming:
//              no source is chosen yet
//   settling   until limits::kPushSettling is over: choose() is due again and again, and replaces
//              a source by a better one. A late offer skips this phase.
//   settled    the shape stays, and choose() is due only while a stripe has no source
//
// A stripe, once the push has formed:
//
//   no source --a candidate that does not rest--> has a source --sourceFailed()--> no source
//       |
//       +--no source has given anything for limits::kPushKept--> choose() returns false: failed
//
// pushSources() (push_sources.h) ranks the candidates. A source that failed rests for
// limits::kPushSourceRest. After that it has its turn behind the candidates that never failed. A
// source that lied rests for ever.
//
// The endpoints of sources are what others said. So each choice spends Rate::dials of the endpoint
// and of its machine. A candidate whose budget is spent rests, and so do all candidates of a
// machine whose budget is spent.
//
// Invariants: a stripe has one source at most; a source that lied is not chosen again; as long as a
// stripe has no source, deadline() is not kNever.
//
// Owned by OpenPush, called by Pushes. Does no I/O, not thread-safe. choose() costs O(n log n) for
// n entries of the ledger, and O(stripes) if neither the ledger nor a source has changed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/wire/push.h"
#include "peer/core/effects.h"
#include "peer/core/ledger.h"
#include "peer/core/push_jobs.h"
#include "peer/core/push_sources.h"

namespace espalier::peer {

class PushTaking {
 public:
  struct Subject {
    PushId id;
    PeerId sender;
    PeerId self;
    std::uint64_t chunks = 0;
    bool late = false;         // the offer said so
    Budget* budget = nullptr;  // of this process, for dials; null: any number
  };

  PushTaking(Subject subject, TimePoint now) : subject_(std::move(subject)), begun_(now) {}

  // Chooses a source for each stripe that lacks one or, while settling, has a better one.
  // `changedAt`: when the ledger last changed. False: taking has failed, and nothing else may be
  // called.
  [[nodiscard]] bool choose(const Ledger& ledger, TimePoint changedAt, TimePoint now, Effects& fx);
  // The ledger, which has so many entries, has new ones: if a stripe lacks a source, choose() is
  // due now. After a look at a large ledger it is due later, so that a flood of changes is no work.
  void ledgerChanged(TimePoint now, std::size_t entries = 0);
  // True: the stripe has lost its source, and choose() is to be called. False: `source` is not the
  // source of the stripe (any more).
  [[nodiscard]] bool sourceFailed(std::size_t stripe, const PeerId& source, PushTrouble trouble,
                                  TimePoint now);
  // The ledger has had time to come here.
  bool isFormed(TimePoint now) const { return now >= begun_ + limits::kPushSettling; }
  // When choose() is due.
  TimePoint deadline() const { return chooseAt_; }

 private:
  // A stripe.
  struct Way {
    std::optional<PeerId> source;
    TimePoint uselessAt;  // a source that lasts longer than this has given something
    TimePoint drySince;   // since then no source has given anything
  };

  bool lacksSource() const;
  bool isSettling(TimePoint now) const;
  // When the source may be chosen again.
  TimePoint restsUntil(const PeerId& source) const;
  bool chooseSource(std::size_t stripe, const PushSources::Way& ranked, TimePoint now, Effects& fx);
  // Whether the candidate may be dialled; then that is spent. Otherwise it rests, and all of its
  // machine if the machine's budget is spent.
  bool spendDial(const Ledger::Entry& candidate, const std::vector<Ledger::Entry>& all,
                 TimePoint now);

  Subject subject_;
  TimePoint begun_;
  std::optional<PushShape> shape_;       // once the push has formed
  std::vector<Way> ways_;                // one for each stripe
  std::map<PeerId, TimePoint> resting_;  // kNever: it lied
  TimePoint chooseAt_ = begun_;
  TimePoint chosenAt_{};  // the last call of choose() that looked at the ledger
};

}  // namespace espalier::peer
