#include "metaserver/core/sessions/sessions.h"

#include <algorithm>
#include <iterator>
#include <variant>

#include "common/base/limits.h"

namespace espalier::metaserver::sessions {
namespace {

milliseconds inMilliseconds(Duration duration) {
  return std::chrono::duration_cast<milliseconds>(duration);
}

}  // namespace

Sessions::Sessions(Stored stored, const Wall& wall, TimePoint now)
    : time_(stored.seen, stored.date, now, wall),
      since_(stored.since),
      date_(stored.date),
      counters_(std::move(stored.counters), time_.day()),
      othersBefore_(std::move(stored.others)),
      writeAt_(now + limits::kSessionsSeen) {
  if (since_ == milliseconds(0)) since_ = time_.now();
  load(stored, now);
}

void Sessions::load(const Stored& stored, TimePoint now) {
  for (const auto& row : stored.open) {
    if (open_.size() >= limits::kMembers) break;
    const milliseconds seen = std::max(row.away.value_or(stored.seen), row.since);
    const Duration left = limits::kSessionAway - std::max(time_.now() - seen, milliseconds(0));
    // Another one that has taken it over is linked by then.
    const Duration least = othersBefore_.empty() ? Duration(0) : limits::kSessionAway;
    const TimePoint until = now + std::max(left, least);
    const bool wasHere = !row.away.has_value();
    if (!open_
             .try_emplace(row.order,
                          Session{row.id, row.since, {}, false, wasHere, false, seen, until})
             .second) {
      continue;
    }
    away_.emplace(until, row.order);
  }
}

// --- events ---

void Sessions::observe(const Wall& wall, TimePoint now) {
  if (now == observed_) return;
  observed_ = now;
  time_.observe(now, wall);
  if (time_.day() == counters_.day()) return;
  days_.insert_or_assign(counters_.day(), counters_.row());
  while (days_.size() > limits::kStatisticsDays) days_.erase(days_.begin());
  counters_.goTo(time_.day());
  isDirty_ = true;
}

void Sessions::take(const session::Event& event, const Wall& wall, TimePoint now) {
  observe(wall, now);
  std::visit([&](const auto& one) { take(one, now); }, event);
}

void Sessions::count(const Tally& more) {
  counters_.count(more);
  isDirty_ = true;
}

void Sessions::take(const session::Approached&, TimePoint) {
  count({.approaches = 1});
}

void Sessions::take(const session::LostApproach&, TimePoint) {
  count({.lost = 1});
}

void Sessions::take(const session::Here& here, TimePoint) {
  auto session = open_.find(here.order);
  if (session != open_.end()) {
    if (session->second.since == here.since && session->second.id == here.id) {
      session->second.connection = here.connection;
      if (session->second.isHere) return;
      away_.erase({session->second.until, here.order});
      session->second.isHere = true;
      session->second.isOfBefore = false;
      return changed(*session);
    }
    if (session->second.isHere) {
      end(session, time_.now());
    } else {
      endUnlessTakenOver(session);
    }
  }
  if (here.isNew) count({.sessions = 1, .approaches = here.isCounted ? 0u : 1u});
  if (open_.size() >= limits::kMembers) return;
  const auto added = open_.try_emplace(here.order).first;
  added->second.id = here.id;
  added->second.since = here.since;
  added->second.connection = here.connection;
  added->second.isHere = true;
  changed(*added);
}

void Sessions::take(const session::Gone& gone, TimePoint now) {
  const auto session = open_.find(gone.order);
  if (session == open_.end() || !session->second.isHere) return;
  if (session->second.connection != gone.connection) return;
  session->second.isHere = false;
  session->second.seen = time_.now() - inMilliseconds(gone.ago);
  session->second.until = now + std::max<Duration>(limits::kSessionAway - gone.ago, Duration(0));
  away_.emplace(session->second.until, gone.order);
  changed(*session);
}

void Sessions::take(const session::Left& left, TimePoint) {
  const auto session = open_.find(left.order);
  if (session == open_.end()) return;
  end(session, session->second.isHere ? time_.now() : session->second.seen);
}

void Sessions::take(const session::Elsewhere& elsewhere, TimePoint) {
  const auto session = open_.find(elsewhere.order);
  if (session != open_.end() && !session->second.isHere) erase(session);
}

void Sessions::take(const session::Ended& ended, TimePoint) {
  if (const auto session = open_.find(ended.order); session != open_.end()) erase(session);
  addRow(ended.id, ended.since, time_.now() - inMilliseconds(ended.ago));
}

void Sessions::take(const session::Rating& rating, TimePoint) {
  count({.ratings = 1, .ratingSum = rating.score});
  if (ratings_.size() >= limits::kRatingsWaiting) {
    ratings_.pop_front();
    ++dropped_;
  }
  ratings_.push_back({time_.now(), rating});
}

// --- ends ---

void Sessions::setOthers(std::vector<Run> others) {
  std::sort(others.begin(), others.end());
  for (const Run& run : others) {
    isTakenOver_ = isTakenOver_ || std::find(othersBefore_.begin(), othersBefore_.end(), run) !=
                                       othersBefore_.end();
  }
  if (others == others_) return;
  others_ = std::move(others);
  isDirty_ = true;
}

// It is away, and does not come back here.
void Sessions::endUnlessTakenOver(Open::iterator session) {
  if (session->second.isOfBefore && isTakenOver_) return erase(session);
  end(session, session->second.seen);
}

void Sessions::end(Open::iterator session, milliseconds out) {
  addRow(session->second.id, session->second.since, out);
  erase(session);
}

void Sessions::erase(Open::iterator session) {
  if (!session->second.isHere) away_.erase({session->second.until, session->first});
  if (!session->second.isChanged) noteChange(session->first);
  open_.erase(session);
}

void Sessions::addRow(const PeerId& id, milliseconds in, milliseconds out) {
  if (rows_.size() >= limits::kSessionRowsWaiting) {
    rows_.pop_front();
    ++dropped_;
  }
  date_ = std::max(date_, counters_.day());
  rows_.push_back({date_, id, in, std::max(in, out)});
  isDirty_ = true;
}

void Sessions::changed(Open::value_type& session) {
  if (!std::exchange(session.second.isChanged, true)) noteChange(session.first);
  isDirty_ = true;
}

void Sessions::noteChange(JoinOrder order) {
  isDirty_ = true;
  if (isWhole_) return;
  changed_.push_back(order);
  if (changed_.size() <= limits::kMembers) return;
  changed_.clear();
  isWhole_ = true;
}

void Sessions::tick(const IsMember& isMember, const Wall& wall, TimePoint now) {
  observe(wall, now);
  while (!away_.empty() && away_.begin()->first <= now) {
    const auto session = open_.find(away_.begin()->second);
    if (isMember(session->first, session->second.since)) {
      erase(session);  // whoever has it writes its row
    } else {
      endUnlessTakenOver(session);
    }
  }
  if (now < writeAt_) return;
  writeAt_ = now + limits::kSessionsSeen;
  isDirty_ = isDirty_ || !open_.empty();
}

TimePoint Sessions::deadline() const {
  return away_.empty() ? writeAt_ : std::min(writeAt_, away_.begin()->first);
}

std::vector<std::pair<JoinOrder, milliseconds>> Sessions::due(TimePoint now) const {
  std::vector<std::pair<JoinOrder, milliseconds>> due;
  for (auto away = away_.begin(); away != away_.end() && away->first <= now; ++away) {
    due.emplace_back(away->second, open_.at(away->second).since);
  }
  return due;
}

void Sessions::touch(const Wall& wall, TimePoint now) {
  observe(wall, now);
  isDirty_ = true;
}

// --- queries ---

milliseconds Sessions::beginningOf(const wire::Join& join, const Wall& wall, TimePoint now) {
  observe(wall, now);
  if (join.order == kNoOrder) return time_.now();
  const auto session = open_.find(join.order);
  if (session == open_.end() || session->second.id != join.id) return time_.now();
  const bool isBack =
      session->second.isHere || time_.now() - session->second.seen <= limits::kSessionAway;
  return isBack ? session->second.since : time_.now();
}

wire::Statistics Sessions::statistics(std::size_t days) const {
  wire::Statistics out;
  out.since = since_;
  out.open = static_cast<std::uint64_t>(open_.size() - away_.size());
  out.today = counters_.today().sessions;
  out.month = counters_.monthSessions();
  const auto fill = [](const Tally& tally, wire::StatisticsSums& sums) {
    sums = {tally.sessions, tally.approaches, tally.lost, tally.ratings, tally.ratingSum};
  };
  fill(counters_.total(), out.total);
  const std::int32_t today = number(counters_.day());
  for (const auto& [day, tally] : counters_.days()) {
    if (number(day) < 0 || static_cast<std::size_t>(today - number(day)) >= days) continue;
    out.days.push_back({static_cast<std::uint32_t>(number(day)), {}});
    fill(tally, out.days.back().sums);
  }
  return out;
}

// --- for who writes ---

std::optional<Batch> Sessions::takeBatch(bool all) {
  if (all) isWhole_ = true;
  if (!isDirty_ && !all) return std::nullopt;
  Batch batch;
  if (isWhole_) {
    batch.isWhole = true;
    changed_.clear();
    for (auto& [order, session] : open_) {
      session.isChanged = true;
      changed_.push_back(order);
    }
    isWhole_ = false;
  }
  if (all) restoreDays(batch);
  std::size_t left = limits::kSessionBatchRows;
  for (; left > 0 && !changed_.empty(); --left) {
    const JoinOrder order = changed_.back();
    changed_.pop_back();
    const auto session = open_.find(order);
    if (session == open_.end()) {
      batch.ended.push_back(order);
    } else {
      Session& one = session->second;
      one.isChanged = false;
      batch.open.push_back({order, one.id, one.since,
                            one.isHere ? std::nullopt : std::optional<milliseconds>(one.seen)});
    }
  }
  for (; left > 0 && !rows_.empty(); --left, rows_.pop_front()) {
    batch.rows.push_back(std::move(rows_.front()));
  }
  for (; left > 0 && !ratings_.empty(); --left, ratings_.pop_front()) {
    batch.ratings.push_back(std::move(ratings_.front()));
  }
  for (auto& [day, row] : std::exchange(days_, {})) batch.days.push_back(row);
  batch.days.push_back(counters_.row());
  batch.since = since_;
  batch.seen = time_.now();
  batch.date = std::max(date_, counters_.day());
  batch.others = others_;
  batch.dropped = std::exchange(dropped_, 0);
  batch.more = !changed_.empty() || !rows_.empty() || !ratings_.empty();
  isDirty_ = batch.more;
  return batch;
}

// All days that are known, with what was counted until each, and before the first of them.
void Sessions::restoreDays(Batch& batch) {
  Tally until = counters_.total();
  const auto& days = counters_.days();
  for (const auto& [day, tally] : days) {
    until.sessions -= std::min(until.sessions, tally.sessions);
    until.approaches -= std::min(until.approaches, tally.approaches);
    until.lost -= std::min(until.lost, tally.lost);
    until.ratings -= std::min(until.ratings, tally.ratings);
    until.ratingSum -= std::min(until.ratingSum, tally.ratingSum);
  }
  batch.hasAllDays = true;
  batch.earlier = until;
  days_.clear();  // what waited is among those, or before them
  std::uint64_t month = 0;
  std::optional<std::int32_t> monthIs;
  for (const auto& [day, tally] : days) {
    if (monthIs != monthOf(day)) month = 0;
    monthIs = monthOf(day);
    month += tally.sessions;
    until += tally;
    if (day != counters_.day()) days_[day] = {day, tally, month, until};
  }
}

}  // namespace espalier::metaserver::sessions
