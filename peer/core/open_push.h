// One push as this peer knows it: its offer, its ledger, and the taking, while this peer takes it.
//
// What this peer's own entry in the ledger says:
//
//   start() -----------------------------> verified     (the sender)
//   PushOffer --> accepted --completed---> verified
//             |            --failed------> failed
//             +---------------------------> declined     (PushPolicy)
//
// Only the peer itself raises the version of its entry. It does so when it starts the push anew
// after a restart, and when another peer claims more about it than it said (answerTo()).
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

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/contact.h"
#include "common/wire/push.h"
#include "peer/core/ledger.h"
#include "peer/core/push_taking.h"

namespace espalier::peer {

class OpenPush {
 public:
  // `offer`: as this peer passes it on. `mine`: this peer started the push.
  OpenPush(wire::PushOffer offer, bool mine, TimePoint now);

  const wire::PushOffer& offer() const { return offer_; }
  const Ledger& ledger() const { return ledger_; }
  bool isMine() const { return mine_; }
  bool isOpen() const { return offer_.end == wire::PushEnd::open; }
  // Whether the peer is one of those that the sender named, or the push is for all peers.
  bool isMeantFor(const PeerId& peer) const;
  // This peer neither takes the push, nor is the sender of an open one.
  bool isOver() const { return !taking_ && !(mine_ && isOpen()); }
  // When the ledger or the end last changed.
  TimePoint changedAt() const { return changedAt_; }
  TimePoint forgetAt() const;

  // --- changes
  // The entry's index if it says more than the ledger did.
  std::optional<Ledger::Index> merge(const wire::PushEntry& entry, TimePoint now);
  // False: the push had ended like that, or further, before.
  bool setEnd(wire::PushEnd end, TimePoint now);

  // --- entries to merge; nothing: the ledger stays as it is
  // This peer's own entry, with a new state.
  std::optional<wire::PushEntry> ownEntry(const wire::Contact& self, wire::PushState state,
                                          std::string_view reason) const;
  // Another peer claims that `claim` is this peer's own entry.
  std::optional<wire::PushEntry> answerTo(const wire::PushEntry& claim,
                                          const wire::Contact& self) const;
  // The offer is about to go to the peer.
  std::optional<wire::PushEntry> entryOfOffered(const wire::Contact& peer,
                                                const wire::PushOffer& offer) const;
  // The link to the peer is gone for good.
  std::optional<wire::PushEntry> entryOfLost(const PeerId& peer) const;

  // Why another peer's entry must not be merged, to follow "NAME sent "; nothing: it may be.
  std::optional<std::string> problemWith(const wire::PushEntry& entry) const;

  // --- taking; null while this peer does not take the push
  PushTaking* taking() { return taking_ ? &*taking_ : nullptr; }
  const PushTaking* taking() const { return taking_ ? &*taking_ : nullptr; }
  void beginTaking(const PeerId& self, TimePoint now);
  void endTaking() { taking_.reset(); }

 private:
  wire::PushEntry currentEntry(const wire::Contact& self) const;

  wire::PushOffer offer_;
  Ledger ledger_;
  bool mine_;
  TimePoint changedAt_;
  std::optional<PushTaking> taking_;
};

using OpenPushes = std::map<PushId, OpenPush>;

}  // namespace espalier::peer
