#include "metaserver/core/rooms/room_copy.h"

#include <algorithm>

#include "common/base/limits.h"

namespace espalier::metaserver::rooms {
namespace {

constexpr unsigned kGateOffers = 3;  // tuning: one may be lost

}  // namespace

void RoomCopy::follow(ServerNumber master, Epoch epoch, TimePoint now) {
  if (epoch < epoch_ || (master_ == master && epoch == epoch_)) return;
  leave();
  master_ = master;
  epoch_ = epoch;
  apartAt_ = gatesAt_ = now;
  gateOffers_ = kGateOffers;
}

void RoomCopy::leave() {
  master_.reset();
  matched_ = 0;
  told_ = 0;
  isLevel_ = false;
  isDue_ = false;
  asked_.reset();
  offered_.clear();
}

void RoomCopy::seen(Epoch epoch) {
  if (epoch <= epoch_) return;
  leave();
  epoch_ = epoch;
}

void RoomCopy::pull(TimePoint now, RoomsEffects& fx) {
  if (asked_ && now < asked_->until) return;
  asked_ = Asked{++asks_, now + limits::kRoomPullTimeout};
  wire::RoomPull pull{epoch_, asks_, {}};
  if (!isDoubted_) pull.marks = disk_.log().marks();
  fx.messages.push_back({*master_, std::move(pull), {}});
}

void RoomCopy::received(ServerNumber from, const wire::RoomEntries& message, TimePoint now,
                        RoomsEffects& fx) {
  if (master_ != from || message.epoch != epoch_) return;
  const bool isAnswer = asked_ && message.answers == asked_->number;
  if (message.answers > 0 && !isAnswer) return;
  // What it does not take now it pulls later.
  if (disk_.isBehind() && !message.entries.empty()) return;
  if (isAnswer) asked_.reset();
  if (!disk_.log().has(message.after) || (isDoubted_ && !isAnswer)) return pull(now, fx);
  if (!take(message, fx)) {
    isDoubted_ = true;
    fx.notices.push_back("the log of rooms does not fit to the master's: it is copied again");
    return pull(now, fx);
  }
  isDoubted_ = false;
  isDue_ = true;
  isLevel_ = message.upTo.sequence >= message.last.sequence;
  disk_.commit(std::min(message.committed, matched_));
  if (!isLevel_) pull(now, fx);
}

// Its log has message.after.
bool RoomCopy::take(const wire::RoomEntries& message, RoomsEffects& fx) {
  const auto& log = disk_.log();
  if (isDoubted_) disk_.truncate(message.after, fx);
  auto common = message.after;
  auto next = message.entries.begin();
  for (; next != message.entries.end() && log.has(next->position); ++next) {
    common = next->position;
  }
  if (next == message.entries.end() && log.has(message.upTo)) common = message.upTo;
  // Of the epoch of this master its log has only what the master has sent.
  const bool isOwn = log.last().epoch == epoch_;
  const bool leadsOn = next != message.entries.end() || !log.has(message.upTo) ||
                       message.upTo.sequence >= message.last.sequence;
  if (!isOwn && leadsOn) disk_.truncate(common, fx);
  for (const auto& rest : message.rests) disk_.index().takeRest(rest, fx.writes);
  for (; next != message.entries.end(); ++next) {
    if (!disk_.append(*next, fx)) {
      return false;
    }
    offered_.erase({next->room, next->id});
  }
  disk_.index().advance(message.upTo, fx.writes);
  disk_.index().takeEnded(message.ended, fx.writes);
  disk_.index().dropApart(message.known, fx.writes);
  for (const auto& known : message.known) offered_.erase({known.room, known.id});
  matched_ = std::max(matched_, message.upTo.sequence);
  if (offered_.empty()) apartAt_ = TimePoint::min();  // the next ones
  return true;
}

void RoomCopy::apartRead(const std::vector<wire::RoomEntry>& entries, RoomsEffects& fx) {
  if (!master_ || !isLevel_) return;
  wire::RoomApart apart{epoch_, withGates(disk_.log(), entries)};
  offered_.clear();
  for (const auto& entry : apart.entries) {
    if (disk_.log().apart().contains({entry.room, entry.id})) {
      offered_.emplace(entry.room, entry.id);
    }
  }
  if (!apart.entries.empty()) fx.messages.push_back({*master_, std::move(apart), {}});
}

void RoomCopy::flush(TimePoint now, RoomsEffects& fx) {
  if (!master_) return;
  const auto have = std::min(disk_.durable(), matched_);
  if (matched_ > 0 && (isDue_ || have != told_)) {
    fx.messages.push_back({*master_, wire::RoomHave{epoch_, have, isFailing_}, {}});
    told_ = have;
  }
  isDue_ = false;
  if (isLevel_ && gatesAt_ <= now) offerGates(now, fx);
  // Messages of a room come behind its gate.
  if (isLevel_ && gatesAt_ == kNever && apartAt_ <= now && !disk_.log().apart().empty()) {
    fx.readApart = true;
    apartAt_ = now + limits::kRoomApartRetry;
  }
}

// A room that was open here is open everywhere; one that was closed does not open without its gate.
void RoomCopy::offerGates(TimePoint now, RoomsEffects& fx) {
  gatesAt_ = kNever;
  // Here the entry may have lapsed, and the master has it: then it does not come.
  if (gateOffers_ == 0) return;
  --gateOffers_;
  wire::RoomApart apart{epoch_, {}};
  for (const auto& [name, room] : disk_.log().rooms()) {
    auto gate = lackedGate(room, lobbyOpensAt_);
    if (!gate || apart.entries.size() >= limits::kRoomBatch) continue;
    apart.entries.push_back(*std::move(gate));
    gatesAt_ = now + limits::kRoomApartRetry;
  }
  if (!apart.entries.empty()) fx.messages.push_back({*master_, std::move(apart), {}});
}

void RoomCopy::tick(TimePoint now, RoomsEffects& fx) {
  if (master_ && asked_ && now >= asked_->until) pull(now, fx);
}

TimePoint RoomCopy::deadline() const {
  auto deadline = kNever;
  if (!master_) return deadline;
  if (asked_) deadline = asked_->until;
  // Behind the gates only, as in flush().
  const bool hasApart = gatesAt_ == kNever && !disk_.log().apart().empty();
  if (isLevel_ && hasApart) deadline = std::min(deadline, apartAt_);
  if (isLevel_) deadline = std::min(deadline, gatesAt_);
  return deadline;
}

}  // namespace espalier::metaserver::rooms
