// The part of Pushes that takes in what neighbours say about pushes: offers, entries and ends.
#include <algorithm>
#include <set>
#include <variant>

#include "common/wire/file_form.h"
#include "peer/core/push.h"
#include "peer/core/push_id.h"

namespace espalier::peer {

using limits::Rate;
using wire::PushEnd;
using wire::PushEntry;
using wire::PushLedger;
using wire::PushOffer;
using wire::PushState;
using Wait = PushLink::Wait;

bool Pushes::received(ConnectionId id, const wire::LinkMessage& message, TimePoint now,
                      Effects& fx) {
  const auto* offer = std::get_if<PushOffer>(&message);
  const auto* ledger = std::get_if<PushLedger>(&message);
  if (offer == nullptr && ledger == nullptr) return false;
  const auto link = links_.find(id);
  if (link == links_.end()) return true;
  if (offer != nullptr) receivedOffer(id, link->second, *offer, now, fx);
  if (ledger != nullptr) receivedLedger(id, link->second, *ledger, now, fx);
  return true;
}

// --- offers ---

void Pushes::receivedOffer(ConnectionId id, PushLink& link, const PushOffer& offer, TimePoint now,
                           Effects& fx) {
  if (!link.account().spend(Rate::pushOffers, now, pushOfferCost(offer))) {
    return link.blame("more offers of pushes than a peer takes; some are left out", fx);
  }
  const PushId committed = committedId(offer);
  if (forgotten_.contains(committed) || forgotten_.contains(offer.id)) return;
  const PeerId& sender = offer.sender.id;
  OpenPush* const known = find(offer.id);
  if (known != nullptr) {
    if (committed == offer.id) known->adoptEndHash(offer);
    if (known->isSameAs(offer)) return receivedAgain(id, link, *known, offer, now, fx);
    // The offer that the id commits to is better than what was known. If there is none, only the
    // sender's own word, over its own link, is.
    const bool isSenders = sender == link.peer().id && sender == known->offer().sender.id &&
                           known->origin() != link.peer().id;
    const bool isBetter = committed == offer.id || isSenders;
    if (!isBetter || known->isMine() || isCommitted(known->offer())) {
      return link.blame("another offer under the id of a push", fx);
    }
  }
  if (offer.end != PushEnd::open) return;  // over before it came here
  if (sender == self_.id && !isSealedWith(offer, key_)) return;
  // The neighbour that it names offers it itself, if it is its own. After a restart it must be
  // told.
  if (const auto named = confirmedLinkTo(sender); named != links_.end() && named->first != id) {
    if (link.mayReturn()) fx.send(named->first, offer);
    return;
  }
  if (!std::all_of(offer.files.begin(), offer.files.end(), [](const auto& file) {
        return wire::isPossibleFile(file.root, file.sizeBytes);
      })) {
    return link.blame("a push of a file that cannot exist", fx);
  }
  if (known != nullptr) drop(pushes_.find(offer.id), fx);
  if (!makeRoom(link.peer().id, sender, now, fx)) {
    return link.blame("too many pushes at once; some are left out", fx);
  }
  OpenPush& push = pushes_.try_emplace(offer.id, offer, link.peer().id, now).first->second;
  if (sender != self_.id) (void)link.setAnswered(offer.id);
  if (!push.isMeantFor(self_.id)) link.addEnd(offer.id, now);  // an answer
  fx.pushChanges.insert(offer.id);
  decide(push, link, now, fx);
  for (auto& [connection, other] : links_) {
    if (connection != id || sender == self_.id) offerTo(push, connection, other, false, now, fx);
  }
}

// The neighbour knows the push, so it wants the ledger, and no offer.
void Pushes::receivedAgain(ConnectionId id, PushLink& link, OpenPush& known, const PushOffer& offer,
                           TimePoint now, Effects& fx) {
  // The way to the sender is another one, because the tree has changed.
  if (!known.isMine() && linkTo(known.origin()) == links_.end()) {
    known.setOrigin(link.peer().id);
  }
  if (!link.knows(offer.id)) {
    link.addNews(offer.id, known.ledger(), now);
    sendClaimsAbout(link, known, id, fx);
  } else {
    link.addEnd(offer.id, now);  // an answer
  }
  if (link.setAnswered(offer.id)) link.addNews(offer.id, known.ledger(), now);
  hearEnd(known, offer.end, offer.endProof, link, now, fx);
  // The neighbour has not heard that the push is over.
  if (offer.end < known.offer().end) link.addEnd(offer.id, now);
}

// --- ends ---

// Without proofs: the sender says it, or a peer in its direction. Any other neighbour is doubted:
// the peers in the sender's direction are asked.
void Pushes::hearEnd(OpenPush& push, PushEnd end, const PushEndProof& proof, PushLink& link,
                     TimePoint now, Effects& fx) {
  if (end <= push.offer().end) return;
  if (push.isEndProven() && !proof.isZero()) {
    if (provesEnd(push.offer(), end, proof)) return ended(push, end, proof, now, fx);
    return link.blame("an end of a push that its sender did not say", fx);
  }
  if (push.isMine()) {
    return learn(push, push.refutation(self_, now), std::nullopt, now, fx);
  }
  const PeerId& from = link.peer().id;
  if (push.isEndProven()) return;
  if (from == push.origin() || from == push.offer().sender.id) {
    return ended(push, end, {}, now, fx);
  }
  if (!push.doubt(end, now)) return;
  const auto toward = linkTo(push.origin());
  if (toward == links_.end()) return;
  fx.send(toward->first, PushLedger{push.offer().id, end, {}});
}

// --- entries ---

void Pushes::receivedLedger(ConnectionId id, PushLink& link, const PushLedger& ledger,
                            TimePoint now, Effects& fx) {
  OpenPush* const push = find(ledger.id);
  if (push == nullptr) return;
  if (link.knows(ledger.id) && link.setAnswered(ledger.id)) {
    link.addNews(ledger.id, push->ledger(), now);
    sendClaimsAbout(link, *push, id, fx);
  }
  const double cost = 16 + static_cast<double>(ledger.entries.size());
  if (!link.account().spend(Rate::pushEntries, now, cost)) {
    return link.blame("more entries of ledgers than a peer takes; some are left out", fx);
  }
  std::set<PeerId> told;
  for (const auto& entry : ledger.entries) {
    if (!push->ledger().isNews(entry)) continue;
    // A ledger has one entry of each peer.
    if (!told.insert(entry.peer.id).second) {
      link.blame("several entries of one peer in a ledger", fx);
      continue;
    }
    hear(*push, entry, id, link, now, fx);
  }
  hearEnd(*push, ledger.end, ledger.endProof, link, now, fx);
  if (PushTaking* const taking = push->taking()) taking->ledgerChanged(now, push->ledger().size());
}

// The entry of a neighbour counts if it comes from that neighbour. What others say about it is kept
// apart, and told to the neighbour, which contradicts. If it does not contradict its loss, it does
// not know the push.
void Pushes::hear(OpenPush& push, const PushEntry& entry, ConnectionId from, PushLink& link,
                  TimePoint now, Effects& fx) {
  if (!push.ledger().isNews(entry)) return;
  if (const auto problem = push.problemWith(entry)) return link.blame(*problem, fx);
  const PushId& id = push.offer().id;
  if (const auto until = push.takesVersionAt(entry.version); now < until) {
    link.hold({id, entry, Wait::time, until}, fx);
    return;
  }
  const auto known = push.ledger().find(entry.peer.id);
  const bool isOwn = entry.peer.id == link.peer().id && link.isConfirmed();
  const bool isAboutSelf = entry.peer.id == self_.id;
  const bool isRaise = entry.version > std::max(known ? known->version() : 0, 1u);
  if (known && isRaise && !isOwn && !link.account().spend(Rate::pushRaises, now, 1)) {
    const auto until = link.account().affordableAt(Rate::pushRaises, now, 1);
    link.hold({id, entry, Wait::time, until}, fx);
    return;
  }
  if (isAboutSelf) return learn(push, push.answerTo(entry, self_), std::nullopt, now, fx);
  if (const auto nearer = isOwn ? links_.end() : confirmedLinkTo(entry.peer.id);
      nearer != links_.end()) {
    const bool isLoss = entry.state == PushState::lost;
    const auto until = isLoss ? now + limits::kPushEndDoubted : kNever;
    if (link.hold({id, entry, Wait::neighbours, until}, fx)) {
      fx.send(nearer->first, push.message({entry}));
    }
    return;
  }
  if (!known && !isOwn) {
    if (const auto until = link.name(id, now)) {
      link.hold({id, entry, Wait::names, *until}, fx);
      return;
    }
  }
  learn(push, entry, from, now, fx);
}

void Pushes::hearClaims(ConnectionId from, PushLink& link, std::vector<PushLink::Claim> claims,
                        TimePoint now, Effects& fx) {
  for (const auto& claim : claims) {
    OpenPush* const push = find(claim.push);
    if (push == nullptr) continue;
    const bool isUndoubted = claim.wait == Wait::neighbours && claim.until <= now;
    if (isUndoubted && !push->problemWith(claim.entry)) {
      learn(*push, claim.entry, from, now, fx);
    } else {
      hear(*push, claim.entry, from, link, now, fx);
    }
    if (PushTaking* const taking = push->taking())
      taking->ledgerChanged(now, push->ledger().size());
  }
}

void Pushes::confirmed(ConnectionId id, bool isConfirmed) {
  const auto link = links_.find(id);
  if (link != links_.end()) link->second.setConfirmed(isConfirmed);
}

void Pushes::peersBehind(ConnectionId id, std::uint64_t count) {
  const auto link = links_.find(id);
  if (link == links_.end() || link->second.behind() == count) return;
  link->second.setBehind(count);
  if (link->second.hasClaims()) grown_.insert(id);
}

}  // namespace espalier::peer
