// The part of Pushes that sends and receives offers and changes of ledgers.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/wire/file_form.h"
#include "peer/core/push.h"

namespace espalier::peer {

using wire::PushEnd;
using wire::PushEntry;
using wire::PushLedger;
using wire::PushOffer;
using wire::PushState;

namespace {

constexpr std::size_t kLedgerHeadBytes = 64;
constexpr std::size_t kEntryBytes = 64;  // without texts

// An entry's bytes in a frame, at most.
std::size_t bytesOf(const PushEntry& entry) {
  return entry.peer.id.text().size() + entry.peer.endpoint.host.size() + entry.via.text().size() +
         entry.reason.size() + kEntryBytes;
}

}  // namespace

// --- links ---

void Pushes::linkUp(const TreeLink& treeLink, TimePoint now, Effects& fx) {
  const ConnectionId id = treeLink.connection;
  Link& link = links_[id];
  link.peer = treeLink.peer;
  gone_.erase(link.peer.id);
  for (auto& [pushId, push] : pushes_) offerTo(push, id, link, true, now, fx);
}

void Pushes::linkDown(ConnectionId id, TimePoint now, Effects&) {
  const auto link = links_.find(id);
  if (link == links_.end()) return;
  const PeerId peer = link->second.peer.id;
  links_.erase(link);
  if (pushes_.empty()) return;
  for (const auto& [other, still] : links_) {
    if (still.peer.id == peer) return;
  }
  gone_[peer] = now + limits::kPushGone;  // bounded: limits::kMaxLinks at a time, and these end
}

// The offer, and all of the ledger.
void Pushes::offerTo(Push& push, ConnectionId id, Link& link, bool late, TimePoint now,
                     Effects& fx) {
  const auto& pushId = push.offer.id;
  if (!link.told.insert(pushId).second) return;
  PushOffer offer = push.offer;
  offer.late = offer.late || late;
  if (isMeant(push, self_.id) || push.mine) offer.via = self_.id;
  const bool open = push.offer.end == PushEnd::open;
  if (open && isMeant(push, link.peer.id) && !push.ledger.find(link.peer.id)) {
    PushEntry entry;
    entry.peer = link.peer;
    entry.via = offer.via;
    entry.late = offer.late;
    learn(push, entry, std::nullopt, now, fx);
  }
  fx.send(id, std::move(offer));
  auto& news = link.news[pushId];
  for (const auto& entry : push.ledger.entries()) news.insert(entry.index());
  if (!link.newsSince) link.newsSince = now;
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

void Pushes::receivedOffer(ConnectionId id, Link& link, const PushOffer& offer, TimePoint now,
                           Effects& fx) {
  if (forgotten_.contains(offer.id)) return;
  if (const auto known = pushes_.find(offer.id); known != pushes_.end()) {
    offerTo(known->second, id, link, true, now, fx);  // unless it was told; it knows the push
    if (!known->second.mine) receivedEnd(known->second, offer.end, now, fx);
    if (offer.end < known->second.offer.end) {
      link.news[offer.id];  // it has not heard that the push is over
      if (!link.newsSince) link.newsSince = now;
    }
    return;
  }
  if (offer.end != PushEnd::open) return;  // over before it came here
  if (!std::all_of(offer.files.begin(), offer.files.end(), [](const auto& file) {
        return wire::isPossibleFile(file.root, file.sizeBytes);
      })) {
    return tell(link, "a push of a file that cannot exist", fx);
  }
  if (!makeRoom(now, fx)) return tell(link, "too many pushes at once; some are left out", fx);
  Push& push = pushes_[offer.id];
  push.offer = offer;
  push.chunks = pushChunks(offer.files);
  push.changedAt = now;
  link.told.insert(offer.id);
  fx.pushChanges.insert(offer.id);
  decide(push, now, fx);
  for (auto& [connection, other] : links_) {
    if (connection != id) offerTo(push, connection, other, false, now, fx);
  }
}

void Pushes::receivedLedger(ConnectionId id, Link& link, const PushLedger& ledger, TimePoint now,
                            Effects& fx) {
  const auto found = pushes_.find(ledger.id);
  if (found == pushes_.end()) return;
  Push& push = found->second;
  for (const auto& entry : ledger.entries) {
    if (entry.peer.id == self_.id) {
      receivedOwn(push, entry, now, fx);
      continue;
    }
    const auto known = push.ledger.find(entry.peer.id);
    if (entry.version > (known ? known->version() : 0) + limits::kLedgerVersionJump) {
      tell(link, "versions of entries that nobody can have", fx);
      continue;
    }
    if (!known && push.ledger.size() >= limits::kLedgerEntries) {
      tell(link, "a ledger of too many peers; some are left out", fx);
      continue;
    }
    // Only the sender and peers that the push is meant for have an entry.
    const bool isSender = entry.peer.id == push.offer.sender.id;
    if (!isSender && !isMeant(push, entry.peer.id)) {
      tell(link, "entries of peers that a push is not meant for", fx);
      continue;
    }
    learn(push, entry, id, now, fx);
  }
  if (!push.mine) receivedEnd(push, ledger.end, now, fx);
  // The entries may name a source where there was none.
  if (push.taking && push.taking->lacksSource()) {
    push.taking->chooseAt = std::min(push.taking->chooseAt, now);
  }
}

// Another peer's claim about this one: of before it was started again, or because a neighbour took
// it for lost, or a lie.
void Pushes::receivedOwn(Push& push, const PushEntry& claim, TimePoint now, Effects& fx) {
  const PushEntry own = ownEntry(push);
  if (claim <= own) return;
  // The sender has an entry, too, also after a restart, when the push is not its own any more.
  if (!isMeant(push, self_.id) && push.offer.sender.id != self_.id) return;
  if (own.version == 0) {
    // The sender was started again and has forgotten the push: its old entry stays true.
    learn(push, claim, std::nullopt, now, fx);
    return;
  }
  PushEntry contradiction = own;
  contradiction.version = std::min(claim.version, limits::kLedgerVersion - 1) + 1;
  learn(push, contradiction, std::nullopt, now, fx);
}

void Pushes::receivedEnd(Push& push, PushEnd end, TimePoint now, Effects& fx) {
  if (end <= push.offer.end) return;
  push.offer.end = end;
  push.changedAt = now;
  fx.pushChanges.insert(push.offer.id);
  for (auto& [connection, link] : links_) {
    if (!link.told.contains(push.offer.id)) continue;
    link.news[push.offer.id];  // the end alone is news, too
    if (!link.newsSince) link.newsSince = now;
  }
  if (end == PushEnd::cancelled && push.taking) {
    stopTaking(push, fx);
    say(push, PushState::failed, "cancelled by the sender", now, fx);
  }
}

void Pushes::tell(Link& link, const std::string& what, Effects& fx) {
  if (link.blamed.insert(what).second) {
    fx.warn(fmt::format("{} sent {}", link.peer.id.text(), what));
  }
}

// --- sending changes ---

TimePoint Pushes::flushDue(const Link& link) const {
  if (!link.newsSince) return kNever;
  const TimePoint collected = *link.newsSince + limits::kLedgerDelay;
  if (link.flushed.size() < limits::kLedgerFlushes) return collected;
  return std::max(collected, link.flushed.front() + limits::kLedgerWindow);
}

void Pushes::flush(ConnectionId id, Link& link, TimePoint now, Effects& fx) {
  link.flushed.push_back(now);
  if (link.flushed.size() > limits::kLedgerFlushes) link.flushed.pop_front();
  link.newsSince.reset();
  std::size_t budget = limits::kLedgerFlushBytes;
  while (!link.news.empty()) {
    const auto news = link.news.begin();
    const auto push = pushes_.find(news->first);
    if (push == pushes_.end()) {
      link.news.erase(news);
      continue;
    }
    PushLedger message{push->first, push->second.offer.end, {}};
    std::size_t bytes = kLedgerHeadBytes;
    auto& places = news->second;
    message.entries.reserve(std::min(places.size(), limits::kPushMessageBytes / kEntryBytes));
    while (!places.empty()) {
      PushEntry entry = push->second.ledger.at(places.first())->whole();
      const std::size_t more = bytesOf(entry);
      if (bytes + more > limits::kPushMessageBytes) break;
      bytes += more;
      message.entries.push_back(std::move(entry));
      places.eraseFirst();
    }
    if (places.empty()) link.news.erase(news);
    fx.send(id, std::move(message));
    if (bytes >= budget) break;
    budget -= bytes;
  }
  if (!link.news.empty()) link.newsSince = now;
}

}  // namespace espalier::peer
