#include "peer/core/push_taking.h"

#include "common/base/limits.h"

namespace espalier::peer {

namespace {

// While settling: as often as changes of the ledger arrive.
constexpr Duration kChooseAgain =
    Duration(limits::kLedgerWindow) / static_cast<long>(limits::kLedgerFlushes);

}  // namespace

bool PushTaking::lacksSource() const {
  return ways_.empty() ||
         std::any_of(ways_.begin(), ways_.end(), [](const Way& way) { return !way.source; });
}

bool PushTaking::isSettling(TimePoint now) const {
  return now < begun_ + limits::kPushSettling && !subject_.late;
}

void PushTaking::ledgerChanged(TimePoint now, std::size_t entries) {
  // Some ten times what the look takes.
  constexpr Duration kForEntry = std::chrono::microseconds(10);
  if (!lacksSource()) return;
  const TimePoint next = chosenAt_ + static_cast<long>(entries) * kForEntry;
  chooseAt_ = std::min(chooseAt_, std::max(now, next));
}

bool PushTaking::choose(const Ledger& ledger, TimePoint changedAt, TimePoint now, Effects& fx) {
  chooseAt_ = isSettling(now) ? now + kChooseAgain : kNever;
  // Nothing has changed: the choice would be the same.
  if (!lacksSource() && resting_.empty() && chosenAt_ > changedAt) return true;
  chosenAt_ = now;
  const auto sources = pushSources(ledger, subject_.sender, subject_.self, subject_.chunks,
                                   isSettling(now) ? std::nullopt : shape_);
  const TimePoint formed = begun_ + limits::kPushForming;
  if (sources.forming && now < formed) {
    chooseAt_ = std::min(chooseAt_, formed);
    return true;
  }
  if (shape_ != sources.shape) {
    shape_ = sources.shape;
    ways_.assign(sources.ways.size(), Way{{}, now, now});
  }
  for (std::size_t stripe = 0; stripe < ways_.size(); ++stripe) {
    if (!chooseSource(stripe, sources.ways[stripe], now, fx)) return false;
  }
  return true;
}

TimePoint PushTaking::restsUntil(const PeerId& source) const {
  const auto resting = resting_.find(source);
  return resting == resting_.end() ? TimePoint::min() : resting->second;
}

bool PushTaking::spendDial(const Ledger::Entry& candidate, const std::vector<Ledger::Entry>& all,
                           TimePoint now) {
  if (subject_.budget == nullptr) return true;
  const Endpoint source = candidate.contact().endpoint;
  const Payer payer = Payer::machine(source.host);
  const auto machine = subject_.budget->account(payer);
  const auto endpoint = subject_.budget->account(Payer::endpoint(source));
  const TimePoint machineAt = machine.affordableAt(limits::Rate::dials, now);
  const TimePoint endpointAt = endpoint.affordableAt(limits::Rate::dials, now);
  if (machineAt > now) {
    for (const auto& each : all) {
      const bool isThere = Payer::machine(each.contact().endpoint.host) == payer;
      if (isThere && restsUntil(each.id()) < machineAt) resting_[each.id()] = machineAt;
    }
    return false;
  }
  if (Account::spend({machine, endpoint}, limits::Rate::dials, now)) return true;
  resting_[candidate.id()] = endpointAt > now ? endpointAt : now + limits::kPushSourceRest;
  return false;
}

bool PushTaking::chooseSource(std::size_t stripe, const PushSources::Way& ranked, TimePoint now,
                              Effects& fx) {
  constexpr int kTries = 8;  // machines or endpoints whose dials are spent, in one step
  Way& way = ways_[stripe];
  const TimePoint dried = way.drySince + limits::kPushKept;
  if (!way.source && now >= dried) return false;

  for (int tries = 0;; ++tries) {
    // The first candidate that has not failed, else the one that failed first.
    std::optional<Ledger::Entry> next;
    TimePoint rested = kNever;
    for (const auto& entry : ranked.candidates) {
      const TimePoint until = resting_.empty() ? TimePoint::min() : restsUntil(entry.id());
      if (until >= rested) continue;
      next = entry;
      rested = until;
    }
    if (!next || rested > now || tries == kTries) {
      const TimePoint again = tries == kTries ? now + kChooseAgain : rested;
      const TimePoint named = ranked.candidates.empty() ? now + limits::kPushSettling : kNever;
      if (!way.source) chooseAt_ = std::min({chooseAt_, again, named, dried});
      return true;
    }
    if (way.source == next->id()) return true;
    if (!spendDial(*next, ranked.candidates, now)) continue;
    way.source = next->id();
    const Duration patience =
        limits::kPushPatience + static_cast<long>(ranked.hops) * limits::kPushPatienceHop;
    way.uselessAt = now + limits::kConnectTimeout + patience + limits::kPushSilence;
    fx.pushJobs.emplace_back(
        PushTakeFrom{subject_.id, stripe, ways_.size(), next->contact(), patience});
    return true;
  }
}

bool PushTaking::sourceFailed(std::size_t stripe, const PeerId& source, PushTrouble trouble,
                              TimePoint now) {
  if (stripe >= ways_.size() || ways_[stripe].source != source) return false;
  Way& way = ways_[stripe];
  way.source.reset();
  if (now > way.uselessAt) way.drySince = now;
  resting_[source] = trouble == PushTrouble::lied ? kNever : now + limits::kPushSourceRest;
  return true;
}

}  // namespace espalier::peer
