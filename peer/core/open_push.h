// One push as this peer knows it: its offer, its ledger, and the taking, while this peer takes it.
//
// What this peer's own entry in the ledger says:
//
//   start() -----------------------------> verified     (the sender)
//   PushOffer --> accepted --completed---> verified
//        |    |            --failed------> failed
//        |    +---------------------------> declined     (PushPolicy)
//        +--Rate::pushFiles is spent--> undecided --waitsUntil()--> as above
//
// Only the peer itself raises the version of its entry. It does so when it starts the push anew
// after a restart, when another peer claims more about it than it said (answerTo()), and when
// another peer claims that its push has ended (refutation()).
//
// The end of a push comes with a proof that only its sender can make (push_id.h), over any link. A
// push of an older program has no proofs: its end comes over the link to the origin. An end from
// elsewhere is doubted:
//
//   no claim --doubt()--> doubted --limits::kPushEndDoubted--> takeDoubtedEnd(): it counts
//                            +-----the sender raises its version--> no claim
//
// Invariants: the end only grows (open, closed, cancelled); no entry of the ledger ever becomes
// smaller (ledger.h); entries of other peers enter the ledger only if problemWith() finds none.
//
// What other peers say may be hostile. Entries and versions have bounds in limits.h.
//
// Owned by Pushes, read by PushLink. Does no I/O, not thread-safe. A call costs O(log entries) and
// O(names in `to`).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/contact.h"
#include "common/wire/push.h"
#include "peer/core/ledger.h"
#include "peer/core/push_taking.h"
#include "peer/core/push_tellers.h"

namespace espalier::peer {

class OpenPush {
 public:
  // `offer`: as this peer passes it on. `origin`: the neighbour that it came from; empty: this peer
  // started the push.
  OpenPush(wire::PushOffer offer, PeerId origin, TimePoint now);

  const wire::PushOffer& offer() const { return offer_; }
  const Ledger& ledger() const { return ledger_; }
  const PushTellers& tellers() const { return tellers_; }  // of this peer's own push
  bool isMine() const { return origin_.empty(); }
  // The neighbour toward the sender. It changes when the tree does.
  const PeerId& origin() const { return origin_; }
  void setOrigin(const PeerId& origin) { origin_ = origin; }
  // Whether the offer is of the same files, by the same sender, to the same peers, with the same
  // end hash. An older program passes on none.
  bool isSameAs(const wire::PushOffer& offer) const;
  // Only the sender can end the push: the end needs a proof.
  bool isEndProven() const { return isEndProven_; }
  // Takes the end hash of an offer whose id commits to it, if an older program had removed it.
  void adoptEndHash(const wire::PushOffer& offer);
  // Since the push began, as far as the offers told.
  std::uint32_t ageSeconds(TimePoint now) const;
  bool isOpen() const { return offer_.end == wire::PushEnd::open; }
  // Whether the peer is one of those that the sender named, or the push is for all peers.
  bool isMeantFor(const PeerId& peer) const;
  // Takers need this peer, for bytes or to pass the ledger on.
  bool isAwaited() const;
  // When this peer heard of it, whatever its age.
  TimePoint heardAt() const { return heardAt_; }
  // This peer, or the origin by its own word, has all of it. Such a push is not made up; if it is,
  // then by its origin.
  bool isReal(const PeerId& self) const;
  // This peer neither takes the push, nor is the sender of an open one.
  bool isOver() const { return !taking_ && !(isMine() && isOpen()); }
  // How easily the push gives its place to another one; 0: it does not. `forFairness`: the other
  // one is of an origin or sender that has fewer. A push that this peer sends, or of which chunks
  // arrive, never does. One that is real does last.
  int spareness(bool forFairness, const PeerId& self, TimePoint now) const;
  // Nothing has changed, and no chunk has arrived, for limits::kPushIdle.
  bool isQuiet(TimePoint now) const;
  // When the ledger or the end last changed.
  TimePoint changedAt() const { return changedAt_; }
  TimePoint forgetAt() const;

  // --- changes
  // The entry's index if it says more than the ledger did. `teller`: the neighbour that it came
  // from; null: this peer made it.
  std::optional<Ledger::Index> merge(const wire::PushEntry& entry, TimePoint now,
                                     const PeerId* teller = nullptr);
  // Adds the sender as the offer says it, if it has no entry: it can be a source all the same. Its
  // own entries are greater.
  void addSender(TimePoint now);
  // False: the push had ended like that, or further, before. `proof`: zero if it needs none.
  bool setEnd(wire::PushEnd end, TimePoint now, const PushEndProof& proof = {});
  // An end from elsewhere than the sender's direction. False: one is doubted already.
  bool doubt(wire::PushEnd end, TimePoint now);
  TimePoint doubtedUntil() const { return doubted_ ? doubted_->until : kNever; }
  // The end that nobody contradicted.
  std::optional<wire::PushEnd> takeDoubtedEnd(TimePoint now);
  // Another push that this peer takes has a file of this one, which only one of them can receive.
  void setContended() { contended_ = true; }
  // When this push is to give way, if no chunk arrives until then.
  TimePoint givesWayAt() const;
  // A chunk has arrived here.
  void progressed(TimePoint now);
  // This peer has not decided yet whether it takes the push, and is to try again then; kNever: it
  // has decided.
  TimePoint waitsUntil() const { return waitsUntil_; }
  void setWaitsUntil(TimePoint when) { waitsUntil_ = when; }

  // --- entries to merge; nothing: the ledger stays as it is
  // This peer's own entry, with a new state.
  std::optional<wire::PushEntry> ownEntry(const wire::Contact& self, wire::PushState state,
                                          std::string_view reason) const;
  // Another peer claims that `claim` is this peer's own entry.
  std::optional<wire::PushEntry> answerTo(const wire::PushEntry& claim,
                                          const wire::Contact& self) const;
  // Of the sender: another peer claims that the push has ended. Nothing: that was answered already.
  std::optional<wire::PushEntry> refutation(const wire::Contact& self, TimePoint now);
  // A message with these entries, and the end.
  wire::PushLedger message(std::vector<wire::PushEntry> entries) const;
  // The offer is about to go to the peer.
  std::optional<wire::PushEntry> entryOfOffered(const wire::Contact& peer,
                                                const wire::PushOffer& offer) const;
  // The link to the peer is gone for good.
  std::optional<wire::PushEntry> entryOfLost(const PeerId& peer) const;

  // From when on an entry may have that version. So a liar cannot use up the versions of a peer,
  // which has the last word about itself.
  TimePoint takesVersionAt(std::uint32_t version) const;
  // Why another peer's entry must not be merged, to follow "NAME sent "; nothing: it may be.
  std::optional<std::string> problemWith(const wire::PushEntry& entry) const;

  // --- taking; null while this peer does not take the push
  PushTaking* taking() { return taking_ ? &*taking_ : nullptr; }
  const PushTaking* taking() const { return taking_ ? &*taking_ : nullptr; }
  // `payer` has spent Rate::pushFiles for the files. `budget`: of this process, for dials.
  void beginTaking(const PeerId& self, Account payer, TimePoint now, Budget* budget = nullptr);
  void endTaking() { taking_.reset(); }
  // The same. Gives back what was spent for files of which nothing can be on the disk.
  void abandonTaking(TimePoint now);

 private:
  struct DoubtedEnd {
    wire::PushEnd end;
    TimePoint until;
  };

  wire::PushEntry currentEntry(const wire::Contact& self) const;

  wire::PushOffer offer_;
  bool isEndProven_;
  PeerId origin_;
  Ledger ledger_;
  PushTellers tellers_;
  const TimePoint heardAt_;
  const TimePoint begunAt_;  // as the offer told; decides about versions only
  TimePoint changedAt_;
  TimePoint progressedAt_;  // when a chunk arrived last, or the push began
  bool hasProgressed_ = false;
  TimePoint waitsUntil_ = kNever;
  Account payer_;  // of the files
  bool contended_ = false;
  std::optional<DoubtedEnd> doubted_;
  TimePoint refutedAt_ = TimePoint::min();
  std::optional<PushTaking> taking_;
};

using OpenPushes = std::map<PushId, OpenPush>;

}  // namespace espalier::peer
