#include "peer/core/push.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <variant>

#include "common/wire/file_form.h"

namespace espalier::peer {

using wire::PushEnd;
using wire::PushEntry;
using wire::PushLedger;
using wire::PushOffer;
using wire::PushState;

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
  if (!makeRoom(fx)) {
    return Error{ErrorCode::failed, fmt::format("{} pushes are under way already", pushes_.size())};
  }
  const auto id = randomFrom<PushId>(random_);
  PushOffer offer{id, self_, self_.id, false, PushEnd::open, std::move(files), std::move(to)};
  OpenPush& push = pushes_.try_emplace(id, std::move(offer), true, now).first->second;
  say(push, PushState::verified, {}, now, fx);
  for (auto& [connection, link] : links_) offerTo(push, connection, link, false, now, fx);
  return id;
}

void Pushes::finish(const PushId& id, PushEnd end, TimePoint now, Effects& fx) {
  OpenPush* const push = find(id);
  if (push != nullptr && push->isMine()) receivedEnd(*push, end, now, fx);
}

// --- links ---

void Pushes::linkUp(const TreeLink& treeLink, TimePoint now, Effects& fx) {
  const ConnectionId id = treeLink.connection;
  PushLink& link = links_.try_emplace(id, treeLink.peer).first->second;
  gone_.erase(treeLink.peer.id);
  for (auto& [pushId, push] : pushes_) offerTo(push, id, link, true, now, fx);
}

void Pushes::linkDown(ConnectionId id, TimePoint now, Effects&) {
  const auto link = links_.find(id);
  if (link == links_.end()) return;
  const PeerId peer = link->second.peer().id;
  links_.erase(link);
  if (pushes_.empty()) return;
  for (const auto& [other, still] : links_) {
    if (still.peer().id == peer) return;
  }
  gone_[peer] = now + limits::kPushGone;  // bounded: limits::kMaxLinks at a time, and these end
}

// The offer, and all of the ledger.
void Pushes::offerTo(OpenPush& push, ConnectionId id, PushLink& link, bool late, TimePoint now,
                     Effects& fx) {
  const PushId pushId = push.offer().id;
  if (!link.setKnown(pushId)) return;
  PushOffer offer = push.offer();
  offer.late = offer.late || late;
  if (push.isMeantFor(self_.id) || push.isMine()) offer.via = self_.id;
  learn(push, push.entryOfOffered(link.peer(), offer), std::nullopt, now, fx);
  fx.send(id, std::move(offer));
  link.addNews(pushId, push.ledger(), now);
}

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
  if (forgotten_.contains(offer.id)) return;
  if (OpenPush* const known = find(offer.id)) {
    // The neighbour knows the push, so it wants the ledger.
    offerTo(*known, id, link, true, now, fx);
    if (!known->isMine()) receivedEnd(*known, offer.end, now, fx);
    // The neighbour has not heard that the push is over.
    if (offer.end < known->offer().end) link.addEnd(offer.id, now);
    return;
  }
  if (offer.end != PushEnd::open) return;  // over before it came here
  if (!std::all_of(offer.files.begin(), offer.files.end(), [](const auto& file) {
        return wire::isPossibleFile(file.root, file.sizeBytes);
      })) {
    return link.blame("a push of a file that cannot exist", fx);
  }
  if (!makeRoom(fx)) return link.blame("too many pushes at once; some are left out", fx);
  OpenPush& push = pushes_.try_emplace(offer.id, offer, false, now).first->second;
  link.setKnown(offer.id);
  fx.pushChanges.insert(offer.id);
  decide(push, now, fx);
  for (auto& [connection, other] : links_) {
    if (connection != id) offerTo(push, connection, other, false, now, fx);
  }
}

void Pushes::decide(OpenPush& push, TimePoint now, Effects& fx) {
  const auto& sender = push.offer().sender.id;
  if (!push.isMeantFor(self_.id) || sender == self_.id) return;
  if (const auto refusal = policy_.refusal(push.offer())) {
    return say(push, PushState::declined, *refusal, now, fx);
  }
  say(push, PushState::accepted, {}, now, fx);
  push.beginTaking(self_.id, now);
  fx.pushJobs.emplace_back(PushReceive{push.offer().id, sender, push.offer().files});
}

void Pushes::receivedEnd(OpenPush& push, PushEnd end, TimePoint now, Effects& fx) {
  if (!push.setEnd(end, now)) return;
  const PushId id = push.offer().id;
  fx.pushChanges.insert(id);
  for (auto& [connection, link] : links_) {
    if (link.knows(id)) link.addEnd(id, now);
  }
  if (end == PushEnd::cancelled && push.taking() != nullptr) {
    push.endTaking();
    fx.pushJobs.emplace_back(PushDrop{id});
    say(push, PushState::failed, "cancelled by the sender", now, fx);
  }
}

// --- the ledger ---

void Pushes::receivedLedger(ConnectionId id, PushLink& link, const PushLedger& ledger,
                            TimePoint now, Effects& fx) {
  OpenPush* const push = find(ledger.id);
  if (push == nullptr) return;
  for (const auto& entry : ledger.entries) {
    if (entry.peer.id == self_.id) {
      learn(*push, push->answerTo(entry, self_), std::nullopt, now, fx);
    } else if (const auto problem = push->problemWith(entry)) {
      link.blame(*problem, fx);
    } else {
      learn(*push, entry, id, now, fx);
    }
  }
  if (!push->isMine()) receivedEnd(*push, ledger.end, now, fx);
  if (PushTaking* const taking = push->taking()) taking->ledgerChanged(now);
}

void Pushes::learn(OpenPush& push, const std::optional<PushEntry>& entry,
                   std::optional<ConnectionId> from, TimePoint now, Effects& fx) {
  const auto index = entry ? push.merge(*entry, now) : std::nullopt;
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
  if (push.taking()->choose(push.ledger(), push.changedAt(), now, fx)) return;
  push.endTaking();
  fx.pushJobs.emplace_back(PushDrop{push.offer().id});
  say(push, PushState::failed, "nobody who can be reached has all of it", now, fx);
}

void Pushes::sourceFailed(const PushId& id, std::size_t stripe, const PeerId& source,
                          PushTrouble trouble, TimePoint now, Effects& fx) {
  OpenPush* const push = find(id);
  PushTaking* const taking = push == nullptr ? nullptr : push->taking();
  if (taking == nullptr || !taking->sourceFailed(stripe, source, trouble, now)) return;
  choose(*push, now, fx);
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
  push->endTaking();
  say(*push, PushState::failed, reason, now, fx);
}

// --- time ---

TimePoint Pushes::deadline() const {
  TimePoint due = kNever;
  for (const auto& [connection, link] : links_) due = std::min(due, link.deadline());
  for (const auto& [id, push] : pushes_) {
    due = std::min(due, push.forgetAt());
    if (const auto* taking = push.taking()) due = std::min(due, taking->deadline());
  }
  for (const auto& [peer, when] : gone_) due = std::min(due, when);
  return due;
}

void Pushes::tick(TimePoint now, Effects& fx) {
  for (auto push = pushes_.begin(); push != pushes_.end();) {
    const auto next = std::next(push);
    const auto* taking = push->second.taking();
    if (taking != nullptr && now >= taking->deadline()) choose(push->second, now, fx);
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
  for (auto& [connection, link] : links_) {
    if (now >= link.deadline()) link.flush(connection, pushes_, now, fx);
  }
}

// --- all pushes ---

OpenPush* Pushes::find(const PushId& id) {
  const auto found = pushes_.find(id);
  return found == pushes_.end() ? nullptr : &found->second;
}

bool Pushes::makeRoom(Effects& fx) {
  if (pushes_.size() < limits::kPushes) return true;
  auto oldest = pushes_.end();
  for (auto push = pushes_.begin(); push != pushes_.end(); ++push) {
    if (!push->second.isOver()) continue;
    if (oldest == pushes_.end() || push->second.changedAt() < oldest->second.changedAt()) {
      oldest = push;
    }
  }
  if (oldest == pushes_.end()) return false;
  forget(oldest, fx);
  return true;
}

void Pushes::forget(OpenPushes::iterator push, Effects& fx) {
  const PushId id = push->first;
  fx.pushJobs.emplace_back(PushDrop{id});
  fx.pushChanges.insert(id);
  for (auto& [connection, link] : links_) link.forget(id);
  pushes_.erase(push);
  forgotten_.add(id);
}

std::vector<PushId> Pushes::ids() const {
  std::vector<PushId> ids;
  for (const auto& [id, push] : pushes_) ids.push_back(id);
  return ids;
}

std::optional<Pushes::View> Pushes::view(const PushId& id) const {
  const auto push = pushes_.find(id);
  if (push == pushes_.end()) return std::nullopt;
  return View{push->second.offer(), push->second.ledger(), push->second.isMine()};
}

}  // namespace espalier::peer
