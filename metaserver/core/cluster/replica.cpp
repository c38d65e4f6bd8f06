#include "metaserver/core/cluster/replica.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"

namespace espalier::metaserver::cluster {
namespace {

constexpr unsigned kRefusedAtOnce = 2;  // then what this replica has is doubted

Backoff freshBackoff() {
  return {limits::kPullAgainLeast, limits::kPullAgainMost};
}

// The part of a delta that lies within the orders up to `covered`.
void cutAt(JoinOrder covered, wire::Delta& delta) {
  std::erase_if(delta.gone, [&](JoinOrder order) { return order > covered; });
  std::erase_if(delta.rows, [&](const auto& row) { return row->contact.order > covered; });
  std::erase_if(delta.absentGone, [&](JoinOrder order) { return order > covered; });
  std::erase_if(delta.absent, [&](const auto& row) { return row.contact.order > covered; });
}

Directory::Change changeOf(const wire::Delta& delta) {
  return {delta.gone, delta.rows, delta.absentGone, delta.absent};
}
Directory::Change changeOf(const wire::SnapshotPage& page) {
  return {{}, page.rows, {}, page.absent};
}

const wire::DirectorySummary& summaryOf(const wire::Delta& delta) {
  return delta.after;
}
const wire::DirectorySummary& summaryOf(const wire::SnapshotPage& page) {
  return page.of;
}
const wire::DirectorySummary& summaryOf(const wire::Position& position) {
  return position.of;
}

Error damaged(std::string_view what) {
  return {ErrorCode::protocol, std::string(what)};
}

template <typename Row>
Result<void> checkRange(const wire::SnapshotPage& page, const std::vector<Row>& rows) {
  JoinOrder last = page.after;
  for (const auto& row : rows) {
    const JoinOrder order = contactOf(row).order;
    if (order <= last) return damaged("the rows of a page are not in their order");
    last = order;
  }
  if (last > page.upTo) return damaged("a page has rows that it does not cover");
  return {};
}

Result<void> checkRange(const wire::SnapshotPage& page) {
  if (page.upTo <= page.after) return damaged("a page covers no orders");
  if (auto rows = checkRange(page, page.rows); !rows) return rows;
  return checkRange(page, page.absent);
}

Result<void> checkSum(const Directory::Sum& sum, const wire::DirectorySummary& named) {
  if (number(named.newest) > limits::kJoinOrder) {
    return Error{ErrorCode::protocol,
                 fmt::format("the newest order is {}, out of range", number(named.newest))};
  }
  if (sum.count != named.count) {
    return Error{ErrorCode::protocol,
                 fmt::format("it has {} members, not {}", sum.count, named.count)};
  }
  if (sum.digest != named.digest) {
    return Error{ErrorCode::protocol, fmt::format("its {} members have another digest", sum.count)};
  }
  if (sum.absentCount != named.absentCount || sum.absentDigest != named.absentDigest) {
    return Error{ErrorCode::protocol,
                 fmt::format("its {} absent members are not the {} that are named", sum.absentCount,
                             named.absentCount)};
  }
  return {};
}

}  // namespace

Replica::Replica(Random& random, Directory start, const wire::DirectoryVersion& version,
                 bool isAwaiting)
    : random_(random),
      held_{std::move(start), version.epoch, version.sequence, wire::kAllOrders, isAwaiting},
      epoch_(version.epoch),
      known_(version.sequence),
      backoff_(freshBackoff()) {}

// --- queries ---

const Replica::Table* Replica::table() const {
  if (filling_) return &*filling_;
  return !isDoubted_ && held_.epoch == epoch_ ? &held_ : nullptr;
}

Replica::State Replica::state() const {
  if (filling_) return State::filling;
  return table() && epoch_ != Epoch() ? State::current : State::empty;
}

bool Replica::lacks() const {
  const Table* has = table();
  return !has || has->covered != wire::kAllOrders || known_ > has->sequence;
}

TimePoint Replica::deadline() const {
  if (asked_) return asked_->until;
  return lacks() ? notBefore_ : kNever;
}

// --- events ---

void Replica::received(wire::DirectoryMessage message, TimePoint now, Effects& fx) {
  std::visit(
      [&](auto& one) {
        if (takeEpoch(summaryOf(one))) take(std::move(one), now, fx);
      },
      message);
}

void Replica::tick(TimePoint now, Effects& fx) {
  if (asked_ && now >= asked_->until) {
    asked_.reset();
    pauseFrom(now);
  }
  pullIfLacking(now, fx);
}

bool Replica::takeEpoch(const wire::DirectorySummary& summary) {
  const Epoch epoch = summary.version.epoch;
  if (epoch < epoch_ || epoch == Epoch()) return false;
  if (epoch == epoch_) return true;
  epoch_ = epoch;
  filling_.reset();
  asked_.reset();
  known_ = 0;
  isDoubted_ = false;
  refusedInARow_ = 0;
  backoff_ = freshBackoff();
  notBefore_ = TimePoint::min();
  return true;
}

void Replica::take(wire::Delta delta, TimePoint now, Effects& fx) {
  const std::uint64_t sequence = delta.after.version.sequence;
  known_ = std::max(known_, sequence);
  Table* to = table();
  if (!to || sequence != to->sequence + 1) return pullIfLacking(now, fx);
  const bool isWhole = to->covered == wire::kAllOrders;
  if (!isWhole) cutAt(to->covered, delta);
  const auto sum = to->directory.check(changeOf(delta));
  if (!sum) return refuse(sum.error().message, now, fx);
  if (isWhole) {
    if (auto same = checkSum(*sum, delta.after); !same) {
      return refuse(same.error().message, now, fx);
    }
    to->directory.learnNewest(delta.after.newest);
    // Not while it is filled: a page that does not fit would never be counted twice in a row.
    refusedInARow_ = 0;
  }
  to->directory.apply(changeOf(delta));
  to->sequence = sequence;
  to->isAwaiting = delta.after.isAwaiting;
  // Deltas that come by themselves do not make an answer of use whose pages never fit.
  if (asked_ && sequence <= asked_->known) asked_->broughtAny = true;
  pullIfLacking(now, fx);
}

void Replica::take(wire::SnapshotPage page, TimePoint now, Effects& fx) {
  if (!asked_ || page.answers != asked_->number) return;
  const std::uint64_t sequence = page.of.version.sequence;
  known_ = std::max(known_, sequence);
  const bool begins = page.after == kNoOrder && !asked_->began;
  const bool follows =
      filling_ && filling_->covered == page.after && filling_->sequence == sequence;
  if (!begins && !follows) return;
  Table fresh{{}, epoch_, sequence, kNoOrder, false};
  Table& to = begins ? fresh : *filling_;
  if (auto range = checkRange(page); !range) return refuse(range.error().message, now, fx);
  if (auto sum = to.directory.check(changeOf(page)); !sum) {
    return refuse(sum.error().message, now, fx);
  }
  to.directory.apply(changeOf(page));
  to.covered = page.upTo;
  to.isAwaiting = page.of.isAwaiting;
  if (begins) filling_ = std::move(fresh);
  isDoubted_ = false;
  refusedInARow_ = 0;
  asked_->began = true;
  asked_->broughtAny = true;
  asked_->until = now + limits::kPullTimeout;
  if (page.upTo == wire::kAllOrders) complete(page.of, now, fx);
}

void Replica::complete(const wire::DirectorySummary& of, TimePoint now, Effects& fx) {
  if (auto same = checkSum(filling_->directory.sum(), of); !same) {
    filling_.reset();
    isDoubted_ = true;
    return refuse(same.error().message, now, fx);
  }
  held_ = std::move(*filling_);
  filling_.reset();
  held_.directory.learnNewest(of.newest);
}

void Replica::take(wire::Position position, TimePoint now, Effects& fx) {
  const std::uint64_t sequence = position.of.version.sequence;
  known_ = std::max(known_, sequence);
  if (asked_ && position.answers == asked_->number) {
    known_ = sequence;  // also if a damaged message named a higher one
    const bool helped = std::exchange(asked_, std::nullopt)->broughtAny || !lacks();
    if (helped) backoff_ = freshBackoff();
    if (!helped) pauseFrom(now);
  }
  Table* has = table();
  if (has && has->sequence == sequence) has->isAwaiting = position.of.isAwaiting;
  if (has && has->covered == wire::kAllOrders && has->sequence == sequence) {
    if (auto same = checkSum(has->directory.sum(), position.of); !same) {
      isDoubted_ = true;
      return refuse(same.error().message, now, fx);
    }
  }
  pullIfLacking(now, fx);
}

// --- pulls ---

void Replica::refuse(const std::string& why, TimePoint now, Effects& fx) {
  ++refused_;
  if (!asked_ && now < notBefore_) return;  // it is waiting to pull again
  asked_.reset();
  pauseFrom(now);
  if (++refusedInARow_ >= kRefusedAtOnce) {
    filling_.reset();
    isDoubted_ = true;
    refusedInARow_ = 0;
  }
  fx.notices.push_back(
      fmt::format("refused a part of the directory of epoch {}: {}; it is pulled again{}",
                  epoch_.counter, why, isDoubted_ ? " as a whole" : ""));
}

void Replica::pullIfLacking(TimePoint now, Effects& fx) {
  if (asked_ || now < notBefore_ || !lacks()) return;
  asked_ = Asked{++asks_, now + limits::kPullTimeout, known_};
  const Table* has = table();
  fx.pulls.push_back({wire::DirectoryVersion{epoch_, has ? has->sequence : 0},
                      has ? has->covered : kNoOrder, asked_->number});
}

}  // namespace espalier::metaserver::cluster
