// The part of Pushes that decides whether a push is taken, and chooses its sources.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "peer/core/push.h"
#include "peer/core/push_sources.h"

namespace espalier::peer {

using wire::PushState;

namespace {

// While the chain forms, as often as changes of the ledger arrive.
constexpr Duration kChooseAgain =
    Duration(limits::kLedgerWindow) / static_cast<long>(limits::kLedgerFlushes);

std::uint64_t bytesOf(const wire::PushOffer& offer) {
  std::uint64_t bytes = 0;  // at most kPushFiles * kFileBytes: does not wrap around
  for (const auto& file : offer.files) bytes += file.sizeBytes;
  return bytes;
}

}  // namespace

bool Pushes::isMeant(const Push& push, const PeerId& peer) const {
  const auto& to = push.offer.to;
  return to.empty() || std::find(to.begin(), to.end(), peer) != to.end();
}

void Pushes::decide(Push& push, TimePoint now, Effects& fx) {
  const auto& sender = push.offer.sender.id;
  if (!isMeant(push, self_.id) || sender == self_.id) return;
  if (policy_.from == PushPolicy::From::none) {
    return say(push, PushState::declined, "takes no pushes", now, fx);
  }
  if (policy_.from == PushPolicy::From::some && !policy_.senders.contains(sender)) {
    return say(push, PushState::declined, fmt::format("takes no pushes from {}", sender.text()),
               now, fx);
  }
  if (bytesOf(push.offer) > policy_.limitBytes) {
    return say(push, PushState::declined,
               fmt::format("takes at most {}", formatSize(policy_.limitBytes)), now, fx);
  }
  say(push, PushState::accepted, {}, now, fx);
  push.taking = Taking{now, {}, {}, {}, now};
  fx.pushJobs.emplace_back(PushReceive{push.offer.id, sender, push.offer.files});
}

void Pushes::choose(Push& push, TimePoint now, Effects& fx) {
  Taking& taking = *push.taking;
  const bool settling = now < taking.begun + limits::kPushSettling && !push.offer.late;
  // Nothing has changed: it would choose the same sources.
  if (!taking.lacksSource() && taking.resting.empty() && taking.chosenAt > push.changedAt) {
    taking.chooseAt = settling ? now + kChooseAgain : kNever;
    return;
  }
  taking.chosenAt = now;
  const auto sources = pushSources(push.ledger, push.offer.sender.id, self_.id, push.chunks,
                                   settling ? std::nullopt : taking.shape);
  taking.chooseAt = settling ? now + kChooseAgain : kNever;
  if (const TimePoint formed = taking.begun + limits::kPushForming;
      sources.forming && now < formed) {
    taking.chooseAt = std::min(taking.chooseAt, formed);
    return;
  }
  if (taking.shape != sources.shape) {
    taking.shape = sources.shape;
    taking.ways.assign(sources.ways.size(), Way{{}, now, now});
  }
  for (std::size_t stripe = 0; stripe < taking.ways.size() && push.taking; ++stripe) {
    chooseWay(push, sources, stripe, now, fx);
  }
}

void Pushes::chooseWay(Push& push, const PushSources& sources, std::size_t stripe, TimePoint now,
                       Effects& fx) {
  Taking& taking = *push.taking;
  Way& way = taking.ways[stripe];
  const TimePoint dried = way.drySince + limits::kPushKept;
  if (!way.source && now >= dried) {
    stopTaking(push, fx);
    return say(push, PushState::failed, "nobody who can be reached has all of it", now, fx);
  }

  // The first candidate that has not failed, else the one that failed first.
  std::optional<Ledger::Entry> next;
  TimePoint rested = kNever;
  for (const auto& entry : sources.ways[stripe].candidates) {
    const auto resting =
        taking.resting.empty() ? taking.resting.end() : taking.resting.find(entry.id());
    const TimePoint until = resting == taking.resting.end() ? TimePoint::min() : resting->second;
    if (until >= rested) continue;
    next = entry;
    rested = until;
  }
  if (!next || rested > now) {
    if (!way.source) taking.chooseAt = std::min({taking.chooseAt, rested, dried});
  } else if (way.source != next->id()) {
    way.source = next->id();
    const Duration patience = limits::kPushPatience + static_cast<long>(sources.ways[stripe].hops) *
                                                          limits::kPushPatienceHop;
    way.uselessAt = now + limits::kConnectTimeout + patience + limits::kPushSilence;
    fx.pushJobs.emplace_back(
        PushTakeFrom{push.offer.id, stripe, taking.ways.size(), next->contact(), patience});
  }
}

void Pushes::sourceFailed(const PushId& id, std::size_t stripe, const PeerId& source,
                          PushTrouble trouble, TimePoint now, Effects& fx) {
  const auto found = pushes_.find(id);
  if (found == pushes_.end() || !found->second.taking) return;
  Taking& taking = *found->second.taking;
  if (stripe >= taking.ways.size() || taking.ways[stripe].source != source) return;
  Way& way = taking.ways[stripe];
  way.source.reset();
  if (now > way.uselessAt) way.drySince = now;
  taking.resting[source] = trouble == PushTrouble::lied ? kNever : now + limits::kPushSourceRest;
  choose(found->second, now, fx);
}

void Pushes::completed(const PushId& id, TimePoint now, Effects& fx) {
  const auto push = pushes_.find(id);
  if (push == pushes_.end() || !push->second.taking) return;
  push->second.taking.reset();
  say(push->second, PushState::verified, {}, now, fx);
}

void Pushes::failedHere(const PushId& id, std::string reason, TimePoint now, Effects& fx) {
  const auto push = pushes_.find(id);
  if (push == pushes_.end() || !push->second.taking) return;
  push->second.taking.reset();
  say(push->second, PushState::failed, std::move(reason), now, fx);
}

void Pushes::stopTaking(Push& push, Effects& fx) {
  if (!push.taking) return;
  push.taking.reset();
  fx.pushJobs.emplace_back(PushDrop{push.offer.id});
}

}  // namespace espalier::peer
