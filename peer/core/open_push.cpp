#include "peer/core/open_push.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "peer/core/push_chunks.h"
#include "peer/core/push_id.h"

namespace espalier::peer {

using wire::PushEntry;
using wire::PushState;

OpenPush::OpenPush(wire::PushOffer offer, PeerId origin, TimePoint now)
    : offer_(std::move(offer)),
      isEndProven_(!offer_.endHash.isZero() && isCommitted(offer_)),
      origin_(std::move(origin)),
      heardAt_(now),
      begunAt_(now -
               std::min<Duration>(std::chrono::seconds(offer_.ageSeconds), limits::kPushAwaited)),
      changedAt_(now),
      progressedAt_(now) {}

bool OpenPush::isSameAs(const wire::PushOffer& offer) const {
  return offer.sender.id == offer_.sender.id && offer.files == offer_.files &&
         offer.to == offer_.to && (offer.endHash.isZero() || offer.endHash == offer_.endHash);
}

void OpenPush::adoptEndHash(const wire::PushOffer& offer) {
  if (!offer_.endHash.isZero()) return;
  offer_.endHash = offer.endHash;
  isEndProven_ = isCommitted(offer_);
  if (!isEndProven_) offer_.endHash = {};
}

std::uint32_t OpenPush::ageSeconds(TimePoint now) const {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(now - begunAt_).count());
}

bool OpenPush::isMeantFor(const PeerId& peer) const {
  const auto& to = offer_.to;
  return to.empty() || std::find(to.begin(), to.end(), peer) != to.end();
}

bool OpenPush::isReal(const PeerId& self) const {
  const auto hasAll = [&](const PeerId& peer) {
    const auto entry = ledger_.find(peer);
    return entry && entry->state() == PushState::verified;
  };
  return hasAll(self) || (!isMine() && hasAll(origin_));
}

bool OpenPush::isAwaited() const {
  return ledger_.count(PushState::offered) + ledger_.count(PushState::accepted) > 0;
}

TimePoint OpenPush::forgetAt() const {
  if (taking_) return kNever;
  const bool awaited = isAwaited();
  return changedAt_ + (awaited ? Duration(limits::kPushAwaited) : Duration(limits::kPushKept));
}

int OpenPush::spareness(bool forFairness, const PeerId& self, TimePoint now) const {
  if (taking_) {
    const bool isNew = forFairness && !hasProgressed_;
    const Duration idle = isNew ? Duration(limits::kPushSilence) : Duration(limits::kPushIdle);
    return now >= progressedAt_ + idle ? 2 : 0;
  }
  if (!isOver()) return 0;
  if (!isOpen()) return 5;
  const bool isReal = this->isReal(self);
  const Duration kept = isReal ? Duration(limits::kPushKept) : Duration(limits::kPushIdle);
  if (now >= changedAt_ + kept) return 4;
  if (!forFairness) return 0;
  return isReal ? 1 : 3;
}

bool OpenPush::isQuiet(TimePoint now) const {
  return now >= std::max(changedAt_, progressedAt_) + limits::kPushIdle;
}

void OpenPush::progressed(TimePoint now) {
  progressedAt_ = now;
  hasProgressed_ = true;
}

TimePoint OpenPush::givesWayAt() const {
  return taking_ && contended_ ? progressedAt_ + limits::kPushIdle : kNever;
}

// --- changes ---

std::optional<Ledger::Index> OpenPush::merge(const PushEntry& entry, TimePoint now,
                                             const PeerId* teller) {
  std::optional<PushEntry> before;
  if (isMine() && teller != nullptr) {
    if (const auto known = ledger_.find(entry.peer.id)) before = known->whole();
  }
  const auto index = ledger_.merge(entry);
  if (!index) return std::nullopt;
  changedAt_ = now;
  if (isMine() && teller != nullptr) tellers_.told(*index, *teller, entry, before);
  // The sender contradicts.
  if (entry.peer.id == offer_.sender.id && entry.version > 1) doubted_.reset();
  return index;
}

void OpenPush::addSender(TimePoint now) {
  if (ledger_.find(offer_.sender.id)) return;
  PushEntry entry;
  entry.state = PushState::verified;
  entry.peer = offer_.sender;
  (void)merge(entry, now);
}

bool OpenPush::setEnd(wire::PushEnd end, TimePoint now, const PushEndProof& proof) {
  if (end <= offer_.end) return false;
  offer_.end = end;
  offer_.endProof = proof;
  changedAt_ = now;
  doubted_.reset();
  return true;
}

bool OpenPush::doubt(wire::PushEnd end, TimePoint now) {
  if (doubted_) return false;
  doubted_ = {end, now + limits::kPushEndDoubted};
  return true;
}

std::optional<wire::PushEnd> OpenPush::takeDoubtedEnd(TimePoint now) {
  if (now < doubtedUntil()) return std::nullopt;
  const auto end = doubted_->end;
  doubted_.reset();
  return end;
}

// --- entries ---

PushEntry OpenPush::currentEntry(const wire::Contact& self) const {
  if (const auto known = ledger_.find(self.id)) return known->whole();
  PushEntry entry;
  entry.peer = self;
  if (!isMine()) entry.via = offer_.via;
  entry.late = offer_.late;
  return entry;
}

std::optional<PushEntry> OpenPush::ownEntry(const wire::Contact& self, PushState state,
                                            std::string_view reason) const {
  PushEntry entry = currentEntry(self);
  entry.peer = self;
  if (entry.version == 0 || state < entry.state) {
    if (entry.version == limits::kLedgerVersion) return std::nullopt;
    ++entry.version;
  }
  entry.state = state;
  entry.reason = std::string(cutUtf8(reason, limits::kPushReasonBytes));
  return entry;
}

// Three origins of a claim: this peer before a restart, a neighbour that reported it as lost, or a
// liar.
std::optional<PushEntry> OpenPush::answerTo(const PushEntry& claim,
                                            const wire::Contact& self) const {
  PushEntry own = currentEntry(self);
  if (claim <= own) return std::nullopt;
  // The sender has an entry, too, also after a restart, when the push is no longer `mine`.
  if (!isMeantFor(self.id) && offer_.sender.id != self.id) return std::nullopt;
  own.version = std::min(claim.version, limits::kLedgerVersion - 1) + 1;
  // The sender has been restarted, and has forgotten that it has all of it.
  if (offer_.sender.id == self.id) own.state = PushState::verified;
  return own;
}

std::optional<PushEntry> OpenPush::refutation(const wire::Contact& self, TimePoint now) {
  if (!isMine() || !isOpen() || now < refutedAt_ + limits::kPushEndDoubted / 4) return std::nullopt;
  refutedAt_ = now;
  PushEntry own = currentEntry(self);
  if (own.version == limits::kLedgerVersion) return std::nullopt;
  ++own.version;
  return own;
}

wire::PushLedger OpenPush::message(std::vector<PushEntry> entries) const {
  return {offer_.id, offer_.end, std::move(entries), offer_.endProof};
}

std::optional<PushEntry> OpenPush::entryOfOffered(const wire::Contact& peer,
                                                  const wire::PushOffer& offer) const {
  if (!isOpen() || !isMeantFor(peer.id) || ledger_.find(peer.id)) return std::nullopt;
  PushEntry entry;
  entry.peer = peer;
  entry.via = offer.via;
  entry.late = offer.late;
  return entry;
}

std::optional<PushEntry> OpenPush::entryOfLost(const PeerId& peer) const {
  const auto entry = ledger_.find(peer);
  if (!entry || entry->state() > PushState::accepted) return std::nullopt;
  PushEntry lost = entry->whole();
  lost.state = PushState::lost;
  return lost;
}

TimePoint OpenPush::takesVersionAt(std::uint32_t version) const {
  if (version <= limits::kLedgerVersionsAtOnce) return TimePoint::min();
  const auto more = version - limits::kLedgerVersionsAtOnce;
  return begunAt_ +
         std::chrono::microseconds(1'000'000ull * more / limits::kLedgerVersionsPerSecond);
}

std::optional<std::string> OpenPush::problemWith(const PushEntry& entry) const {
  const auto known = ledger_.find(entry.peer.id);
  if (!known && ledger_.size() >= limits::kLedgerEntries - limits::kLedgerReserved) {
    return "a ledger of too many peers; some are left out";
  }
  // Only the sender and peers that the push is meant for have an entry.
  if (entry.peer.id != offer_.sender.id && !isMeantFor(entry.peer.id)) {
    return "entries of peers that a push is not meant for";
  }
  return std::nullopt;
}

// --- taking ---

void OpenPush::beginTaking(const PeerId& self, Account payer, TimePoint now, Budget* budget) {
  payer_ = std::move(payer);
  progressedAt_ = now;
  taking_.emplace(PushTaking::Subject{offer_.id, offer_.sender.id, self, pushChunks(offer_.files),
                                      offer_.late, budget},
                  now);
}

// Empty files need no chunk, so they may be on the disk.
void OpenPush::abandonTaking(TimePoint now) {
  taking_.reset();
  const auto files = std::count_if(offer_.files.begin(), offer_.files.end(),
                                   [](const auto& file) { return file.sizeBytes > 0; });
  if (!hasProgressed_) {
    payer_.owe(limits::Rate::pushFiles, now, -static_cast<double>(files));
  }
}

}  // namespace espalier::peer
