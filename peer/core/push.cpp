// The part of Pushes for the sender, the ledger, and what time does.
#include "peer/core/push.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::peer {

using wire::PushEnd;
using wire::PushEntry;
using wire::PushState;

std::uint64_t pushChunkBytesFor(std::uint64_t sizeBytes) {
  std::uint64_t chunkBytes = limits::kPushChunkBytes;
  while (chunkBytes < limits::kChunkBytesMax && sizeBytes / chunkBytes >= limits::kPushListHashes) {
    chunkBytes *= 2;
  }
  return chunkBytes;
}

std::uint64_t pushChunks(const std::vector<wire::PushFile>& files) {
  std::uint64_t chunks = 0;
  for (const auto& file : files) {
    const std::uint64_t chunkBytes = pushChunkBytesFor(file.sizeBytes);
    chunks += std::max<std::uint64_t>((file.sizeBytes + chunkBytes - 1) / chunkBytes, 1);
  }
  return chunks;
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
  if (!makeRoom(now, fx)) {
    return Error{ErrorCode::failed, fmt::format("{} pushes are under way already", pushes_.size())};
  }
  const auto id = randomFrom<PushId>(random_);
  Push& push = pushes_[id];
  push.offer = {id, self_, self_.id, false, PushEnd::open, std::move(files), std::move(to)};
  push.mine = true;
  push.chunks = pushChunks(push.offer.files);
  push.changedAt = now;
  say(push, PushState::verified, {}, now, fx);
  for (auto& [connection, link] : links_) offerTo(push, connection, link, false, now, fx);
  return id;
}

void Pushes::finish(const PushId& id, PushEnd end, TimePoint now, Effects& fx) {
  const auto push = pushes_.find(id);
  if (push != pushes_.end() && push->second.mine) receivedEnd(push->second, end, now, fx);
}

// --- the ledger ---

PushEntry Pushes::ownEntry(const Push& push) const {
  if (const auto known = push.ledger.find(self_.id)) return known->whole();
  PushEntry entry;
  entry.peer = self_;
  if (!push.mine) entry.via = push.offer.via;
  entry.late = push.offer.late;
  return entry;
}

// This peer's own state, above whatever is there.
void Pushes::say(Push& push, PushState state, std::string reason, TimePoint now, Effects& fx) {
  PushEntry entry = ownEntry(push);
  entry.peer = self_;
  if (entry.version == 0 || state < entry.state) ++entry.version;
  entry.state = state;
  entry.reason = std::string(cutUtf8(reason, limits::kPushReasonBytes));
  if (entry.version <= limits::kLedgerVersion) learn(push, entry, std::nullopt, now, fx);
}

// Whether it was new; then all other links hear of it.
bool Pushes::learn(Push& push, const PushEntry& entry, std::optional<ConnectionId> from,
                   TimePoint now, Effects& fx) {
  const auto place = push.ledger.merge(entry);
  if (!place) return false;
  push.changedAt = now;
  fx.pushChanges.insert(push.offer.id);
  for (auto& [connection, link] : links_) {
    if (from == connection || !link.told.contains(push.offer.id)) continue;
    link.news[push.offer.id].insert(*place);
    if (!link.newsSince) link.newsSince = now;
  }
  return true;
}

// --- time ---

TimePoint Pushes::dropDue(const Push& push) const {
  if (push.taking) return kNever;
  // Takers need this peer, for bytes or as a relay of the ledger.
  const bool awaited =
      push.ledger.count(PushState::offered) + push.ledger.count(PushState::accepted) > 0;
  return push.changedAt + (awaited ? Duration(limits::kPushAwaited) : Duration(limits::kPushKept));
}

TimePoint Pushes::deadline() const {
  TimePoint due = kNever;
  for (const auto& [connection, link] : links_) due = std::min(due, flushDue(link));
  for (const auto& [id, push] : pushes_) {
    due = std::min(due, dropDue(push));
    if (push.taking) due = std::min(due, push.taking->chooseAt);
  }
  for (const auto& [peer, when] : gone_) due = std::min(due, when);
  return due;
}

void Pushes::tick(TimePoint now, Effects& fx) {
  for (auto push = pushes_.begin(); push != pushes_.end();) {
    const auto next = std::next(push);
    if (push->second.taking && now >= push->second.taking->chooseAt) {
      choose(push->second, now, fx);
    }
    if (now >= dropDue(push->second)) forget(push, fx);
    push = next;
  }
  for (auto gone = gone_.begin(); gone != gone_.end();) {
    if (now < gone->second) {
      ++gone;
      continue;
    }
    for (auto& [id, push] : pushes_) {
      const auto entry = push.ledger.find(gone->first);
      if (!entry || entry->state() > PushState::accepted) continue;
      PushEntry lost = entry->whole();
      lost.state = PushState::lost;
      learn(push, lost, std::nullopt, now, fx);
    }
    gone = gone_.erase(gone);
  }
  for (auto& [connection, link] : links_) {
    if (now >= flushDue(link)) flush(connection, link, now, fx);
  }
}

void Pushes::forget(PushMap::iterator push, Effects& fx) {
  const PushId id = push->first;
  fx.pushJobs.emplace_back(PushDrop{id});
  fx.pushChanges.insert(id);
  for (auto& [connection, link] : links_) {
    link.told.erase(id);
    link.news.erase(id);
  }
  pushes_.erase(push);
  forgotten_.add(id);
}

// Forgets the oldest push in which this peer has nothing left to do.
bool Pushes::makeRoom(TimePoint, Effects& fx) {
  if (pushes_.size() < limits::kPushes) return true;
  auto oldest = pushes_.end();
  for (auto push = pushes_.begin(); push != pushes_.end(); ++push) {
    const bool over =
        !push->second.taking && !(push->second.mine && push->second.offer.end == PushEnd::open);
    if (over && (oldest == pushes_.end() || push->second.changedAt < oldest->second.changedAt)) {
      oldest = push;
    }
  }
  if (oldest == pushes_.end()) return false;
  forget(oldest, fx);
  return true;
}

std::vector<PushId> Pushes::ids() const {
  std::vector<PushId> ids;
  for (const auto& [id, push] : pushes_) ids.push_back(id);
  return ids;
}

std::optional<Pushes::View> Pushes::view(const PushId& id) const {
  const auto push = pushes_.find(id);
  if (push == pushes_.end()) return std::nullopt;
  return View{push->second.offer, push->second.ledger, push->second.mine};
}

}  // namespace espalier::peer
