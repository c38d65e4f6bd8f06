// How a parentless peer finds a parent: the part of Membership that makes attempts.
#include <algorithm>
#include <span>

#include "common/crypto/sha256.h"
#include "peer/core/membership.h"

namespace espalier::peer {
namespace {

using namespace std::chrono_literals;

constexpr Duration kPeerExchangeInterval = 5s;
constexpr Duration kPeerExchangeMemberInterval = 20ms;

// `contacts` has each endpoint of a peer once, and only the most recent ones.
void putFirst(const wire::Contact& contact, std::deque<wire::Contact>& contacts) {
  std::erase_if(contacts, [&](const auto& known) {
    return known.id == contact.id && known.endpoint == contact.endpoint;
  });
  contacts.push_front(contact);
  if (contacts.size() > limits::kKnownContacts) contacts.pop_back();
}

}  // namespace

void Membership::beginSeeking(TimePoint contactsAt, TimePoint now) {
  seeking_ = true;
  seekingSince_ = now;
  contactsAt_ = contactsAt;
  passes_ = 0;
  candidates_.clear();
  contactsLoaded_ = false;
}

void Membership::seek(const std::optional<PeerId>& lost, TimePoint now, Effects& fx) {
  // Who asks its contacts before they have noticed the same death finds them full.
  beginSeeking(lost || joined() ? now + limits::kContactsAfter : now, now);
  tryAt_ = now;
  if (joined()) askForReferral({lost, std::nullopt}, now, fx);
}

// An older root asked below us: the metaserver, if there is one, need not know it.
void Membership::hinted(const wire::Contact& olderRoot, TimePoint now) {
  if (!seeking_) beginSeeking(now, now);
  candidates_.first(olderRoot);
  tryAt_ = now;
}

void Membership::askForReferral(wire::Seek seek, TimePoint now, Effects& fx) {
  if (!joined()) {
    askAgainAt_ = kNever;
    return;
  }
  askAgainAt_ = now + limits::kSeekAgain;
  sendRegistry(std::move(seek), fx);
}

void Membership::stopSeeking(Effects& fx) {
  abandonAttempt(fx);
  seeking_ = false;
  referral_.reset();
  lastReferral_.reset();
  askAgainAt_ = kNever;
}

void Membership::abandonAttempt(Effects& fx) {
  if (!attempt_) return;
  fx.closes.push_back({attempt_->connection});
  attempt_.reset();
}

void Membership::advance(TimePoint now, Effects& fx) {
  if (!seeking_ || attempt_ || now < tryAt_) return;
  if (tree_->parent()) return stopSeeking(fx);
  if (referral_) return attempt(referral_->target, now, fx);
  if (!contactsLoaded_ && now >= contactsAt_) {
    contactsLoaded_ = true;
    candidates_.exclude(tree_->self());
    for (const auto& child : tree_->children()) candidates_.exclude(child.contact);
    candidates_.contacts(contacts());
  }
  if (const auto candidate = candidates_.next()) return attempt(*candidate, now, fx);
  if (lastReferral_) {  // the walk from the place that we were given led nowhere
    const auto failed = std::exchange(lastReferral_, std::nullopt);
    askForReferral({std::nullopt, failed}, now, fx);
  }
  if (!contactsLoaded_) {
    tryAt_ = contactsAt_;
    return;
  }
  passOver(now, fx);
}

// Becomes the root of what hangs below, if nobody has taken this peer for long enough.
void Membership::becomeRootInVain(TimePoint now, Effects& fx) {
  const Duration patience = joined() ? limits::kReferralRetry : limits::kBecomeRootAfter;
  if (tree_->isRoot() || now - seekingSince_ < patience) return;
  tree_->becomeRoot(now, fx);
  fx.notices.push_back({Notice::Kind::root, ""});
}

// Everybody was asked and nobody took us.
void Membership::passOver(TimePoint now, Effects& fx) {
  if (tree_->isRoot() && joined())
    return stopSeeking(fx);  // the metaserver tells when there is another
  becomeRootInVain(now, fx);
  const auto doubled = limits::kPassFirst * (1u << std::min(passes_, 5u));
  const auto pause = std::min<std::chrono::milliseconds>(doubled, limits::kPassMost);
  std::uniform_real_distribution<double> spread(0.5, 1.5);
  tryAt_ = now + std::chrono::duration_cast<Duration>(spread(random_) * pause);
  ++passes_;
  candidates_.clear();
  contactsLoaded_ = false;
  contactsAt_ = tryAt_;
}

void Membership::attempt(const wire::Contact& target, TimePoint now, Effects& fx) {
  attempt_ = Attempt{nextConnection(), target, now + limits::kAttachTimeout};
  fx.dials.push_back({attempt_->connection, target.endpoint, wire::Purpose::link});
  fx.sends.push_back({attempt_->connection, wire::LinkMessage(wire::Attach{
                                                tree_->network(), tree_->self(), tree_->floor(),
                                                tree_->membersBelow(), secretFor(target)})});
}

// The target's endpoint is part of it: who lies about another peer's learns nothing of use there.
wire::LinkSecret Membership::secretFor(const wire::Contact& target) const {
  std::string text = "espalier link";
  text += key_.view();
  text += id_.text() + ' ';
  text += target.id.text() + ' ' + target.endpoint.text();
  const auto digest = crypto::sha256(std::as_bytes(std::span(text)));
  wire::LinkSecret secret;
  std::copy_n(digest.bytes.begin(), secret.bytes.size(), secret.bytes.begin());
  return secret;
}

void Membership::attemptAnswered(const wire::LinkMessage& message, TimePoint now, Effects& fx) {
  const ConnectionId connection = attempt_->connection;
  if (const auto* accepted = std::get_if<wire::Accepted>(&message)) {
    auto before = tree_->contactsAbove();
    if (tree_->adopt(connection, *accepted, now, fx)) {
      before.resize(std::min(before.size(), limits::kContacts));
      tree_->tellAbove(before, fx);
      attempt_.reset();
      stopSeeking(fx);
    } else {
      fx.closes.push_back({connection});
      attemptFailed(Failing::notNow, now, fx);
    }
  } else if (const auto* referred = std::get_if<wire::Referred>(&message)) {
    attemptReferred(*referred, now, fx);
  } else if (std::holds_alternative<wire::Held>(message)) {
    if (!std::exchange(attempt_->held, true)) attempt_->deadline = now + limits::kHoldTimeout;
  } else if (const auto* refused = std::get_if<wire::Refused>(&message)) {
    fx.closes.push_back({connection});
    attemptFailed(refused->reason == wire::RefusalReason::below          ? Failing::below
                  : refused->reason == wire::RefusalReason::younger      ? Failing::younger
                  : refused->reason == wire::RefusalReason::otherNetwork ? Failing::unreachable
                                                                         : Failing::notNow,
                  now, fx);
  } else {
    fx.closes.push_back({connection});
    attemptFailed(Failing::unreachable, now, fx);
  }
}

void Membership::attemptReferred(const wire::Referred& referred, TimePoint now, Effects& fx) {
  for (const auto& contact : referred.candidates) heardOf(contact);
  const PeerId target = attempt_->target.id;
  abandonAttempt(fx);
  tryAt_ = now;
  // An orphan's place is free once the acceptor, too, has noticed the death that the plan is for.
  if (announced_ && referral_ && referral_->target.id == target &&
      !std::exchange(referral_->wasFull, true)) {
    tryAt_ = now + limits::kSlotRetry;
    return;
  }
  candidates_.refer(referred.candidates);
  referral_.reset();
}

void Membership::attemptFailed(Failing why, TimePoint now, Effects& fx) {
  const wire::Contact target = attempt_->target;
  attempt_.reset();
  tryAt_ = now;
  if (why == Failing::below) {
    const auto isTarget = [&](const auto& contact) { return contact.id == target.id; };
    std::erase_if(known_, isTarget);
    std::erase_if(heardOf_, isTarget);
  }
  if (!referral_ || referral_->target.id != target.id) return;
  // A newcomer insists: who gave its place to it may still be about to listen. An orphan's place
  // was alive.
  const bool insist = why == Failing::notNow || (why == Failing::unreachable && !announced_);
  if (insist && now < referral_->since + limits::kReferralRetry) {
    tryAt_ = now + limits::kSlotRetry;
    return;
  }
  referral_.reset();
  lastReferral_.reset();
  askForReferral({std::nullopt, target.id}, now, fx);
  contactsAt_ = std::min(contactsAt_, now + limits::kContactsAfter);
  // The metaserver may have another one at once; contacts have their turn when it has not.
  if (joined()) tryAt_ = contactsAt_;
}

std::vector<wire::Contact> Membership::contacts() const {
  auto contacts = tree_->contactsAbove();
  const auto others = known();
  contacts.insert(contacts.end(), others.begin(), others.end());
  // Candidates leaves repetitions out.
  std::erase_if(contacts, [&](const auto& contact) { return contact.id == id_; });
  return contacts;
}

std::vector<wire::Contact> Membership::known() const {
  std::vector<wire::Contact> all(known_.begin(), known_.end());
  all.insert(all.end(), heardOf_.begin(), heardOf_.end());
  return all;
}

// A peer that started anew has another endpoint; what is told of it as it was must not hide that.
void Membership::remember(const wire::Contact& contact) {
  if (contact.id == id_) return;
  const auto isIt = [&](const auto& known) {
    return known.id == contact.id && known.endpoint == contact.endpoint;
  };
  std::erase_if(heardOf_, isIt);
  putFirst(contact, known_);
}

// Others tell it: it takes the place of nothing that is known at first hand.
void Membership::heardOf(const wire::Contact& contact) {
  const auto isIt = [&](const auto& known) {
    return known.id == contact.id && known.endpoint == contact.endpoint;
  };
  if (contact.id == id_ || std::any_of(known_.begin(), known_.end(), isIt)) return;
  putFirst(contact, heardOf_);
}

void Membership::rememberLineage() {
  if (!tree_->parent()) return;
  const auto above = tree_->contactsAbove();
  for (auto contact = above.rbegin(); contact != above.rend(); ++contact) heardOf(*contact);
}

// Without a metaserver only roots look for other trees, and roots change: whoever knows somebody
// says so now and then. All members together say it some fifty times a second at most.
//
// And when all through whom two of them know each other die at once, siblings among them, nobody
// could bring the two parts together again. So each tells its children of a sample of those it
// knows: in time everybody knows some of everywhere.
void Membership::exchangePeers(TimePoint now, Effects& fx) {
  if (joined() || now < nextPeerExchange_) return;
  const auto all = known();
  if (all.empty()) return;
  std::uniform_real_distribution<double> spread(0.5, 1.5);
  const auto interval =
      std::max<Duration>(kPeerExchangeInterval, tree_->members() * kPeerExchangeMemberInterval);
  nextPeerExchange_ = now + std::chrono::duration_cast<Duration>(spread(random_) * interval);
  tree_->tellAbove({all[random_() % all.size()]}, fx);
  std::vector<wire::Contact> sample;
  std::sample(all.begin(), all.end(), std::back_inserter(sample), limits::kContacts, random_);
  tree_->tellBelow(sample, fx);
}

}  // namespace espalier::peer
