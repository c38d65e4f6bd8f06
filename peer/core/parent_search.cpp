#include "peer/core/parent_search.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <span>
#include <string>
#include <utility>

#include "common/base/endpoint.h"
#include "common/base/limits.h"
#include "common/crypto/sha256.h"

namespace espalier::peer {

using wire::RefusalReason;

// After a stranger became the parent, it is not asked, and older roots are not believed in, for so
// long.
constexpr Duration kShunnedFor = std::chrono::minutes(1);

// --- why a search begins or ends

void ParentSearch::start(TimePoint contactsAt, TimePoint now) {
  if (!isAttempting()) state_ = State::pausing;
  begun_ = now;
  contactsAt_ = contactsAt;
  passes_ = 0;
  candidates_.clear();
  contactsLoaded_ = false;
  waitedForOrphans_ = false;
}

void ParentSearch::begin(const std::optional<PeerId>& lost, TimePoint now, Effects& fx) {
  const bool mayWait = lost || around_.metaserver.joined();
  // A contact that has not noticed the same death yet would still be full.
  start(mayWait ? now + limits::kContactsAfter : now, now);
  tryAt_ = now;
  if (around_.metaserver.joined()) askForReferral({lost, std::nullopt}, now, fx);
}

void ParentSearch::stop(Effects& fx) {
  abandonAttempt(fx);
  state_ = State::idle;
  referral_.reset();
  lastReferral_.reset();
  askAgainAt_ = kNever;
}

void ParentSearch::referred(const wire::Referral& referral, TimePoint now, Effects& fx) {
  Tree& tree = around_.tree;
  switch (referral.kind) {
    case wire::Referral::Kind::keep:
      // A metaserver that waits for the peers of before drops a Seek: it is repeated until a
      // referral comes. Else two orphans whose root is gone could wait for each other.
      if (state_ != State::idle) askAgainAt_ = now + limits::kSeekAgain;
      return;
    case wire::Referral::Kind::root:
      stop(fx);
      if (!tree.isRoot()) becomeRoot(now, fx);
      return;
    case wire::Referral::Kind::below:
      break;
  }
  const auto& parent = referral.parent;
  if (!DialBudget::isElsewhere(parent, tree.self())) return;  // no metaserver means that
  if (state_ == State::idle) start(now + limits::kReferralRetry, now);
  tree.resignRoot();
  if (isAttempting() && attempt_.target.id == parent.id) return;
  abandonAttempt(fx);
  referral_ = Referral{parent, now};
  lastReferral_ = parent.id;
  around_.contacts.remember({parent, around_.metaserver.account()});
  tryAt_ = now;
}

// Nobody tells a root any more that there is an older one, so it searches for itself; an orphan
// need not wait for a referral.
void ParentSearch::metaserverLost(bool wasJoined, TimePoint now, Effects& fx) {
  askAgainAt_ = kNever;
  referral_.reset();
  if (!around_.tree.parent() && state_ == State::idle) begin(std::nullopt, now, fx);
  if (state_ != State::idle && wasJoined) contactsAt_ = std::min(contactsAt_, now);
}

// --- what the tree did

void ParentSearch::follow(const Tree::Changes& changes, TimePoint now, Effects& fx) {
  Tree& tree = around_.tree;
  // A root that searches waits for the peers that hung below the child that it lost.
  // Once a pass, because a child that comes and goes must not put the search off for ever.
  if (!changes.links.down.empty() && tree.isRoot() && !around_.metaserver.joined() &&
      !std::exchange(waitedForOrphans_, true)) {
    tryAt_ = std::max(tryAt_, now + limits::kBecomeRootAfter);
  }
  if (changes.lostParent && !tree.parent()) {
    parentLost(*changes.lostParent, changes.succeeded, now, fx);
  }
  if (tree.parent()) return;
  for (const auto& named : changes.hints) {
    if (named.contact.order >= tree.self().order) continue;
    // An orphan asks its own ancestors first, then its contacts.
    if (tree.isRoot()) {
      hint(named, now);
    } else {
      around_.contacts.heardOf(named);
    }
  }
  // Each of two orphans may be held by a peer below the other one, where no root issues the
  // heartbeat that both wait for. The one that joined first does.
  if (changes.youngerWaits && state_ == State::held) becomeRootIfPatient(now, fx);
  if (changes.raisedByMe && isAttempting() && attempt_.target.id == *changes.raisedByMe) {
    refuse(Failure::saidBelow, now, fx);
  }
}

// The heir, the oldest child of a lost root, becomes the root at once.
void ParentSearch::parentLost(const wire::Contact& parent, bool isHeir, TimePoint now,
                              Effects& fx) {
  if (!orphanedAt_) orphanedAt_ = now;
  if (!isHeir) return begin(parent.id, now, fx);
  becomeRoot(now, fx);
  // Perhaps only this link broke, and the root lives: the metaserver knows.
  if (around_.metaserver.joined()) return askForReferral({parent.id, std::nullopt}, now, fx);
  begin(parent.id, now, fx);
  contactsAt_ = now + limits::kAttachTimeout;  // the other orphans come here first
}

// An older root asked a peer of this tree. The metaserver, if there is one, need not know it. Or
// somebody says so: hints are followed rarely.
void ParentSearch::hint(const NamedContact& olderRoot, TimePoint now) {
  if (now < nextHint_) return around_.contacts.heardOf(olderRoot);
  nextHint_ = now + limits::kSeekAgain;
  if (state_ == State::idle) {
    start(now, now);
    contactsLoaded_ = around_.metaserver.joined();  // then only this one is asked
  }
  candidates_.first(olderRoot);
  tryAt_ = now;
}

void ParentSearch::becomeRoot(TimePoint now, Effects& fx) {
  around_.tree.becomeRoot(now, fx);
  fx.notices.push_back({Notice::Kind::root, ""});
}

void ParentSearch::becomeRootIfPatient(TimePoint now, Effects& fx) {
  const Duration patience =
      around_.metaserver.joined() ? limits::kReferralRetry : limits::kBecomeRootAfter;
  if (around_.tree.isRoot() || now - begun_ < patience) return;
  becomeRoot(now, fx);
}

void ParentSearch::askForReferral(wire::Seek seek, TimePoint now, Effects& fx) {
  if (!around_.metaserver.joined()) {
    askAgainAt_ = kNever;
    return;
  }
  askAgainAt_ = now + limits::kSeekAgain;
  around_.metaserver.send(std::move(seek), fx);
}

// --- the next step

void ParentSearch::tick(TimePoint now, Effects& fx) {
  if (isAttempting() && now >= attempt_.deadline) refuse(Failure::notNow, now, fx);
  if (state_ != State::idle && now >= askAgainAt_) askForReferral({}, now, fx);
}

TimePoint ParentSearch::deadline() const {
  if (isAttempting()) return attempt_.deadline;
  return state_ == State::pausing ? std::min(tryAt_, askAgainAt_) : kNever;
}

void ParentSearch::advance(TimePoint now, Effects& fx) {
  if (orphanedAt_ && (around_.tree.parent() || around_.tree.isRoot())) {
    heals_.add(now - *orphanedAt_);
    orphanedAt_.reset();
  }
  if (state_ != State::pausing || now < tryAt_) return;
  if (around_.tree.parent()) return stop(fx);
  if (referral_ && dials_.payReferral(now)) return attempt(referral_->target, now, fx);
  if (!contactsLoaded_ && now >= contactsAt_) loadContacts();
  if (askCandidate(now, fx)) return;
  if (referral_) {
    tryAt_ = dials_.nextReferralAt(now);
    if (!contactsLoaded_) tryAt_ = std::min(tryAt_, contactsAt_);
    return;
  }
  if (lastReferral_) {
    const auto failed = std::exchange(lastReferral_, std::nullopt);
    askForReferral({std::nullopt, failed}, now, fx);
  }
  if (!contactsLoaded_) {
    tryAt_ = contactsAt_;
    return;
  }
  endPass(now, fx);
}

void ParentSearch::loadContacts() {
  const Tree& tree = around_.tree;
  contactsLoaded_ = true;
  candidates_.exclude(tree.self());
  for (const auto& child : tree.children()) candidates_.exclude(child.contact);
  std::vector<NamedContact> contacts;
  for (const auto& contact : tree.contactsAbove()) {
    contacts.push_back({contact, tree.namedAbove()});
  }
  const auto known = around_.contacts.all();
  contacts.insert(contacts.end(), known.begin(), known.end());
  std::erase_if(contacts, [&](const auto& each) { return each.contact.id == tree.self().id; });
  candidates_.contacts(std::move(contacts));
}

// Every candidate was asked, and none took this peer.
void ParentSearch::endPass(TimePoint now, Effects& fx) {
  // The metaserver tells a root when there is another one.
  if (around_.tree.isRoot() && around_.metaserver.joined()) return stop(fx);
  becomeRootIfPatient(now, fx);
  const auto doubled = limits::kPassFirst * (1u << std::min(passes_, 5u));
  const auto pause = std::min<std::chrono::milliseconds>(doubled, limits::kPassMost);
  std::uniform_real_distribution<double> spread(0.5, 1.5);
  tryAt_ = now + std::chrono::duration_cast<Duration>(spread(around_.random) * pause);
  ++passes_;
  candidates_.nextPass();
  contactsLoaded_ = false;
  waitedForOrphans_ = false;
  contactsAt_ = tryAt_;
}

// --- the attempt

void ParentSearch::leaveStranger(TimePoint now, Effects& fx) {
  const auto contact = around_.tree.parent()->contact;
  around_.contacts.forget(contact);
  shunned_.push_back({contact.endpoint, now + kShunnedFor});
  if (shunned_.size() > limits::kShunned) shunned_.pop_front();
  nextHint_ = now + kShunnedFor;
  around_.tree.giveUpParent(now, fx);
}

// Asks the next candidate that may be dialled. False: there is none.
bool ParentSearch::askCandidate(TimePoint now, Effects& fx) {
  constexpr int kSteps = 256;  // of one event
  for (int step = 0; step < kSteps; ++step) {
    auto candidate = candidates_.next();
    if (!candidate) return false;
    if (isShunned(candidate->contact.endpoint, now)) continue;
    const auto answer = dials_.pay(*candidate, around_.tree.self(), now);
    if (answer == DialBudget::Answer::never) continue;
    if (answer == DialBudget::Answer::notYet) {
      candidates_.putOff(*std::move(candidate));
      continue;
    }
    if (answer == DialBudget::Answer::now) {
      attempt(candidate->contact, now, fx);
      return true;
    }
    candidates_.again(*std::move(candidate));
    break;
  }
  tryAt_ = dials_.nextAt(now);
  return true;
}

// Without the metaserver nobody can tell who is a stranger.
bool ParentSearch::isShunned(const Endpoint& endpoint, TimePoint now) const {
  return around_.metaserver.joined() &&
         std::any_of(shunned_.begin(), shunned_.end(), [&](const Shunned& each) {
           return each.endpoint == endpoint && now < each.until;
         });
}

void ParentSearch::attempt(const wire::Contact& target, TimePoint now, Effects& fx) {
  const Tree& tree = around_.tree;
  state_ = State::attempting;
  attempt_ = {around_.numbers.next(), target, now + limits::kAttachTimeout};
  fx.dials.push_back({attempt_.connection, target.endpoint, wire::Purpose::link});
  fx.sends.push_back({attempt_.connection,
                      wire::LinkMessage(wire::Attach{tree.network(), tree.self(), tree.floor(),
                                                     tree.membersBelow(), secretFor(target)})});
}

// The target's endpoint is part of the secret, so that a peer that lies about another peer's
// endpoint learns nothing that it could use there.
wire::LinkSecret ParentSearch::secretFor(const wire::Contact& target) const {
  std::string text = "espalier link";
  text += key_.view();
  text += around_.tree.self().id.text() + ' ';
  text += target.id.text() + ' ' + target.endpoint.text();
  const auto digest = crypto::sha256(std::as_bytes(std::span(text)));
  wire::LinkSecret secret;
  std::copy_n(digest.bytes.begin(), secret.bytes.size(), secret.bytes.begin());
  return secret;
}

void ParentSearch::abandonAttempt(Effects& fx) {
  if (!isAttempting()) return;
  fx.closes.push_back({attempt_.connection});
  state_ = State::pausing;
}

void ParentSearch::received(const wire::LinkMessage& message, TimePoint now, Effects& fx) {
  if (const auto* answer = std::get_if<wire::Accepted>(&message)) {
    accepted(*answer, now, fx);
  } else if (const auto* referred = std::get_if<wire::Referred>(&message)) {
    referredOn(*referred, now, fx);
  } else if (std::holds_alternative<wire::Held>(message)) {
    // Once: a peer must not be held for ever.
    if (std::exchange(state_, State::held) == State::held) return;
    attempt_.deadline = now + limits::kHoldTimeout;
  } else if (const auto* refused = std::get_if<wire::Refused>(&message)) {
    if (refused->reason == RefusalReason::unanchored) refusedAsFar(now, fx);
    refuse(refused->reason == RefusalReason::below          ? Failure::below
           : refused->reason == RefusalReason::younger      ? Failure::younger
           : refused->reason == RefusalReason::otherNetwork ? Failure::unreachable
                                                            : Failure::notNow,
           now, fx);
  } else {
    refuse(Failure::unreachable, now, fx);
  }
}

// No root will better this peer's label, if it is true: without children it needs none.
void ParentSearch::refusedAsFar(TimePoint now, Effects& fx) {
  if (around_.tree.floor().sequence <= limits::kSequenceJump) return;
  const auto& host = attempt_.target.endpoint.host;
  if (!refusedAsFar_) refusedAsFar_ = {host, now};
  if (refusedAsFar_->host != host || now >= refusedAsFar_->since + limits::kReferralRetry) {
    around_.tree.giveUpChildren(fx);
  }
}

void ParentSearch::accepted(const wire::Accepted& accepted, TimePoint now, Effects& fx) {
  Tree& tree = around_.tree;
  auto before = tree.contactsAbove();
  auto parent = accepted;
  parent.self.endpoint = attempt_.target.endpoint;  // there it listens
  if (!tree.adopt(attempt_.connection, parent, now, fx)) return refuse(Failure::notNow, now, fx);
  before.resize(std::min(before.size(), limits::kContacts));
  tree.tellAbove(before, fx);
  refusedAsFar_.reset();
  state_ = State::idle;  // the connection is the tree's
  stop(fx);
}

void ParentSearch::referredOn(const wire::Referred& referred, TimePoint now, Effects& fx) {
  const Account by = around_.budget.account(Payer::endpoint(attempt_.target.endpoint));
  for (const auto& contact : referred.candidates) around_.contacts.heardOf({contact, by});
  const PeerId target = attempt_.target.id;
  abandonAttempt(fx);
  tryAt_ = now;
  // An orphan's slot is free once the acceptor has noticed the death that made it an orphan.
  if (!isNewcomer_ && referral_ && referral_->target.id == target &&
      !std::exchange(referral_->wasFull, true)) {
    tryAt_ = now + limits::kSlotRetry;
    return;
  }
  candidates_.refer(referred.candidates, by);
  referral_.reset();
}

void ParentSearch::refuse(Failure why, TimePoint now, Effects& fx) {
  fx.closes.push_back({attempt_.connection});
  failed(why, now, fx);
}

void ParentSearch::closed(TimePoint now, Effects& fx) {
  failed(Failure::unreachable, now, fx);
}

void ParentSearch::failed(Failure why, TimePoint now, Effects& fx) {
  const PeerId target = attempt_.target.id;
  state_ = State::pausing;
  tryAt_ = now;
  if (why == Failure::below) around_.contacts.forget(attempt_.target);
  if (!referral_ || referral_->target.id != target) return;
  // The peer that a newcomer was referred to may still be about to listen. The one that an orphan
  // was referred to was alive.
  const bool insists = why == Failure::notNow || (why == Failure::unreachable && isNewcomer_);
  if (insists && now < referral_->since + limits::kReferralRetry) {
    tryAt_ = now + limits::kSlotRetry;
    return;
  }
  referral_.reset();
  lastReferral_.reset();
  askForReferral({std::nullopt, target}, now, fx);
  contactsAt_ = std::min(contactsAt_, now + limits::kContactsAfter);
  // The metaserver may answer with another referral at once; contacts are asked when it does not.
  if (around_.metaserver.joined()) tryAt_ = contactsAt_;
}

}  // namespace espalier::peer
