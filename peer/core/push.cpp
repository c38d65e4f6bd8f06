#include "peer/core/push.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "peer/core/push_id.h"

namespace espalier::peer {

using wire::PushEnd;
using wire::PushEntry;
using wire::PushOffer;
using wire::PushState;

double pushOfferCost(const PushOffer& offer) {
  constexpr std::size_t kLeast = 2048;  // for what even a short offer costs
  std::size_t bytes = kLeast;
  for (const auto& file : offer.files) bytes += file.name.size() + FileRoot::kSizeBytes + 16;
  for (const auto& id : offer.to) bytes += id.text().size() + 4;
  return static_cast<double>(bytes);
}

// --- the sender ---

Result<PushId> Pushes::start(std::vector<wire::PushFile> files, std::vector<PeerId> to,
                             TimePoint now, Effects& fx) {
  if (files.empty()) return Error{ErrorCode::usage, "there is nothing to push"};
  if (files.size() > limits::kPushFiles || to.size() > limits::kPushTargets ||
      !wire::fitsOffer(files, to)) {
    return Error{ErrorCode::usage,
                 fmt::format("a push of {} files to {} named peers is too long for one offer: "
                             "push them as an archive, or in parts",
                             files.size(), to.size())};
  }
  if (!makeRoom(PeerId(), self_.id, now, fx)) {
    return Error{ErrorCode::failed, fmt::format("{} pushes are under way already", pushes_.size())};
  }
  const auto random = randomFrom<PushId>(random_);
  PushOffer offer{random, self_, self_.id, false, PushEnd::open, std::move(files), std::move(to)};
  sealOffer(offer, key_);
  const PushId id = offer.id;
  OpenPush& push = pushes_.try_emplace(id, std::move(offer), PeerId(), now).first->second;
  say(push, PushState::verified, {}, now, fx);
  for (auto& [connection, link] : links_) {
    offerTo(push, connection, link, false, now, fx);
    link.flush(connection, pushes_, now, fx);  // the sender's entry shows that the push is real
  }
  return id;
}

void Pushes::finish(const PushId& id, PushEnd end, TimePoint now, Effects& fx) {
  OpenPush* const push = find(id);
  if (push == nullptr || !push->isMine()) return;
  ended(*push, end, endProofOf(push->offer(), key_, end), now, fx);
}

// --- links ---

void Pushes::linkUp(const TreeLink& treeLink, TimePoint now, Effects& fx) {
  const ConnectionId id = treeLink.connection;
  PushLink& link = links_.try_emplace(id, treeLink.peer, treeLink.account).first->second;
  gone_.erase(treeLink.peer.id);
  for (auto& [pushId, push] : pushes_) offerTo(push, id, link, true, now, fx);
}

void Pushes::linkDown(ConnectionId id, TimePoint now, Effects& fx) {
  const auto link = links_.find(id);
  if (link == links_.end()) return;
  const PeerId peer = link->second.peer().id;
  links_.erase(link);
  grown_.erase(id);
  if (pushes_.empty() || linkTo(peer) != links_.end()) return;
  // What others said about it counts now.
  for (auto& [other, still] : links_) {
    hearClaims(other, still, still.takeClaimsAbout(peer), now, fx);
  }
  gone_[peer] = now + limits::kPushGone;  // bounded: limits::kMaxLinks at a time, and these end
}

// The offer, and all of the ledger. If the neighbour has got many offers, this one waits. If it
// answers nothing, it had no place, and gets them again.
void Pushes::offerTo(OpenPush& push, ConnectionId id, PushLink& link, bool late, TimePoint now,
                     Effects& fx) {
  const PushId pushId = push.offer().id;
  if (link.hasAnswered(pushId) || (link.knows(pushId) && !push.isOpen())) return;
  if (!mayOffer(push, link, now) ||
      !link.account().spend(limits::Rate::pushOffersTold, now, pushOfferCost(push.offer()))) {
    return link.postpone(pushId, late, now);
  }
  const bool isFirst = !link.knows(pushId);
  link.offerSent(pushId, late, now);
  PushOffer offer = push.offer();
  offer.ageSeconds = push.ageSeconds(now);
  offer.late = offer.late || late;
  if (push.isMeantFor(self_.id) || push.isMine()) offer.via = self_.id;
  learn(push, push.entryOfOffered(link.peer(), offer), std::nullopt, now, fx);
  fx.send(id, std::move(offer));
  if (!isFirst) return;  // the ledger follows the answer
  link.addNews(pushId, push.ledger(), now);
  sendClaimsAbout(link, push, id, fx);
}

// The neighbour could not contradict before it knew the push.
void Pushes::sendClaimsAbout(const PushLink& link, const OpenPush& push, ConnectionId to,
                             Effects& fx) {
  const PushId id = push.offer().id;
  for (const auto& [connection, other] : links_) {
    const auto* claim = other.claimAbout(id, link.peer().id);
    if (claim != nullptr) fx.send(to, push.message({*claim}));
  }
}

// Whether the neighbour has few enough unended pushes from the same origin. A neighbour that floods
// is an origin of its own. Farther away it has an origin in common with others: each of these gets
// one push past it. A sender's new push does not wait for its old ones that were never ended.
bool Pushes::mayOffer(const OpenPush& push, const PushLink& link, TimePoint now) const {
  if (push.isMine() || !push.isOpen()) return true;
  const PeerId& sender = push.offer().sender.id;
  std::size_t told = 0;
  bool isFirst = true;  // of the sender
  for (const auto& [id, other] : pushes_) {
    const bool wasTold = &other != &push && link.wasTold(id);
    if (other.origin() != push.origin() || !other.isOpen() || !wasTold) continue;
    const bool isOwn = other.offer().sender.id == sender;
    if (isOwn && other.isQuiet(now)) continue;
    ++told;
    isFirst = isFirst && !isOwn;
  }
  if (told < limits::kPushesRelayed) return true;
  const auto from = linkTo(push.origin());
  const std::uint64_t behind = from == links_.end() ? 0 : from->second.behind();
  return isFirst && told < limits::kPushesRelayed + behind;
}

// --- this peer ---

void Pushes::decide(OpenPush& push, PushLink& from, TimePoint now, Effects& fx) {
  const auto& sender = push.offer().sender.id;
  if (!push.isMeantFor(self_.id) || sender == self_.id) return;
  if (const auto refusal = policy_.refusal(push.offer())) {
    return say(push, PushState::declined, *refusal, now, fx);
  }
  const auto files = static_cast<double>(push.offer().files.size());
  if (!from.account().spend(limits::Rate::pushFiles, now, files)) {
    push.setWaitsUntil(from.account().affordableAt(limits::Rate::pushFiles, now, files));
    return say(push, PushState::offered, {}, now, fx);
  }
  say(push, PushState::accepted, {}, now, fx);
  contend(push);
  push.beginTaking(self_.id, from.account(), now, budget_);
  fx.pushJobs.emplace_back(PushReceive{push.offer().id, sender, push.offer().files});
}

void Pushes::decideLater(OpenPush& push, TimePoint now, Effects& fx) {
  const auto from = linkTo(push.origin());
  if (from == links_.end()) return push.setWaitsUntil(now + limits::kPushGone);
  push.setWaitsUntil(kNever);
  decide(push, from->second, now, fx);
}

void Pushes::declineUndecided(OpenPush& push, TimePoint now, Effects& fx) {
  if (push.waitsUntil() == kNever) return;
  push.setWaitsUntil(kNever);
  say(push, PushState::declined, "takes no more files for now", now, fx);
}

// A push of which nothing arrives must not keep its files from another one.
void Pushes::contend(const OpenPush& push) {
  std::set<FileRoot> roots;
  for (const auto& file : push.offer().files) roots.insert(file.root);
  for (auto& [id, other] : pushes_) {
    const auto& files = other.offer().files;
    const bool shares = std::any_of(files.begin(), files.end(), [&](const auto& file) {
      return file.sizeBytes > 0 && roots.contains(file.root);
    });
    if (shares && other.taking() != nullptr) other.setContended();
  }
}

void Pushes::giveUp(OpenPush& push, std::string_view reason, TimePoint now, Effects& fx) {
  push.abandonTaking(now);
  fx.pushJobs.emplace_back(PushDrop{push.offer().id});
  say(push, PushState::failed, reason, now, fx);
}

void Pushes::ended(OpenPush& push, PushEnd end, const PushEndProof& proof, TimePoint now,
                   Effects& fx) {
  if (!push.setEnd(end, now, proof)) return;
  const PushId id = push.offer().id;
  fx.pushChanges.insert(id);
  for (auto& [connection, link] : links_) {
    if (link.knows(id)) link.addEnd(id, now);
  }
  declineUndecided(push, now, fx);
  if (end == PushEnd::cancelled && push.taking() != nullptr) {
    giveUp(push, "cancelled by the sender", now, fx);
  }
}

// --- the ledger ---

void Pushes::learn(OpenPush& push, const std::optional<PushEntry>& entry,
                   std::optional<ConnectionId> from, TimePoint now, Effects& fx) {
  if (!entry) return;
  const auto teller = from ? links_.find(*from) : links_.end();
  const PeerId* const told = teller != links_.end() ? &teller->second.peer().id : nullptr;
  const auto index = push.merge(*entry, now, told);
  if (!index) return;
  const PushId id = push.offer().id;
  fx.pushChanges.insert(id);
  for (auto& [connection, link] : links_) {
    if (from != connection && link.knows(id)) link.addNews(id, *index, now);
  }
}

void Pushes::say(OpenPush& push, PushState state, std::string_view reason, TimePoint now,
                 Effects& fx) {
  learn(push, push.ownEntry(self_, state, reason), std::nullopt, now, fx);
}

void Pushes::reportLost(const PeerId& peer, TimePoint now, Effects& fx) {
  for (auto& [id, push] : pushes_) learn(push, push.entryOfLost(peer), std::nullopt, now, fx);
}

// --- taking ---

void Pushes::choose(OpenPush& push, TimePoint now, Effects& fx) {
  if (push.taking()->isFormed(now)) push.addSender(now);
  if (push.taking()->choose(push.ledger(), push.changedAt(), now, fx)) return;
  giveUp(push, "nobody who can be reached has all of it", now, fx);
}

void Pushes::sourceFailed(const PushId& id, std::size_t stripe, const PeerId& source,
                          PushTrouble trouble, TimePoint now, Effects& fx) {
  OpenPush* const push = find(id);
  PushTaking* const taking = push == nullptr ? nullptr : push->taking();
  if (taking == nullptr || !taking->sourceFailed(stripe, source, trouble, now)) return;
  choose(*push, now, fx);
}

void Pushes::progressed(const PushId& id, TimePoint now) {
  if (OpenPush* const push = find(id)) push->progressed(now);
}

void Pushes::completed(const PushId& id, TimePoint now, Effects& fx) {
  OpenPush* const push = find(id);
  if (push == nullptr || push->taking() == nullptr) return;
  push->endTaking();
  say(*push, PushState::verified, {}, now, fx);
}

void Pushes::failedHere(const PushId& id, std::string reason, TimePoint now, Effects& fx) {
  OpenPush* const push = find(id);
  if (push == nullptr || push->taking() == nullptr) return;
  push->abandonTaking(now);
  say(*push, PushState::failed, reason, now, fx);
}

// --- time ---

TimePoint Pushes::deadline() const {
  if (!grown_.empty()) return TimePoint::min();
  TimePoint due = kNever;
  for (const auto& [connection, link] : links_) due = std::min(due, link.deadline());
  for (const auto& [id, push] : pushes_) {
    due =
        std::min({due, push.forgetAt(), push.doubtedUntil(), push.givesWayAt(), push.waitsUntil()});
    if (const auto* taking = push.taking()) due = std::min(due, taking->deadline());
  }
  for (const auto& [peer, when] : gone_) due = std::min(due, when);
  return due;
}

void Pushes::tick(TimePoint now, Effects& fx) {
  for (auto push = pushes_.begin(); push != pushes_.end();) {
    const auto next = std::next(push);
    if (const auto end = push->second.takeDoubtedEnd(now)) ended(push->second, *end, {}, now, fx);
    const auto* taking = push->second.taking();
    if (taking != nullptr && now >= taking->deadline()) choose(push->second, now, fx);
    if (now >= push->second.waitsUntil()) decideLater(push->second, now, fx);
    if (now >= push->second.givesWayAt()) {
      giveUp(push->second, "nothing arrived, and another push has the same file", now, fx);
    }
    if (now >= push->second.forgetAt()) forget(push, fx);
    push = next;
  }
  for (auto gone = gone_.begin(); gone != gone_.end();) {
    if (now < gone->second) {
      ++gone;
      continue;
    }
    reportLost(gone->first, now, fx);
    gone = gone_.erase(gone);
  }
  const auto grown = std::exchange(grown_, {});
  for (auto& [connection, link] : links_) {
    if (grown.contains(connection)) {
      hearClaims(connection, link, link.takeClaims(PushLink::Wait::names), now, fx);
    }
    hearClaims(connection, link, link.takeClaimsDue(now), now, fx);
    for (const auto& [id, late] : link.takePostponed(now)) {
      if (OpenPush* const push = find(id)) offerTo(*push, connection, link, late, now, fx);
    }
    if (link.hasNews(now)) link.flush(connection, pushes_, now, fx);
  }
}

// --- all pushes ---

OpenPush* Pushes::find(const PushId& id) {
  const auto found = pushes_.find(id);
  return found == pushes_.end() ? nullptr : &found->second;
}

PushLinks::iterator Pushes::linkTo(const PeerId& peer) {
  return std::find_if(links_.begin(), links_.end(),
                      [&](const auto& each) { return each.second.peer().id == peer; });
}

PushLinks::iterator Pushes::confirmedLinkTo(const PeerId& peer) {
  return std::find_if(links_.begin(), links_.end(), [&](const auto& each) {
    return each.second.isConfirmed() && each.second.peer().id == peer;
  });
}

PushLinks::const_iterator Pushes::linkTo(const PeerId& peer) const {
  return std::find_if(links_.begin(), links_.end(),
                      [&](const auto& each) { return each.second.peer().id == peer; });
}

void Pushes::forget(OpenPushes::iterator push, Effects& fx) {
  forgotten_.add(committedId(push->second.offer()));
  drop(push, fx);
}

void Pushes::drop(OpenPushes::iterator push, Effects& fx) {
  const PushId id = push->first;
  fx.pushJobs.emplace_back(PushDrop{id});
  fx.pushChanges.insert(id);
  for (auto& [connection, link] : links_) link.forget(id);
  pushes_.erase(push);
}

std::vector<PushId> Pushes::ids() const {
  std::vector<PushId> ids;
  for (const auto& [id, push] : pushes_) ids.push_back(id);
  return ids;
}

std::optional<Pushes::View> Pushes::view(const PushId& id) const {
  const auto push = pushes_.find(id);
  if (push == pushes_.end()) return std::nullopt;
  return View{push->second.offer(), push->second.ledger(), push->second.isMine(),
              push->second.tellers()};
}

}  // namespace espalier::peer
