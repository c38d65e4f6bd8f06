#include "metaserver/core/absent_members.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"

namespace espalier::metaserver {

void AbsentMembers::add(Remembered member, Why why, TimePoint now, Account address, bool isHeld,
                        ServerNumber home) {
  if (const auto same = byOrder_.find(member.order); same != byOrder_.end()) erase(same);
  Ages& ages = agesOf(why);
  Hold place;
  if (why == Why::lost) place = placeFor(address);
  const bool isAwaited = why == Why::restart && isHeld;
  Entry entry{std::move(member), why, isAwaited, isHeld, home, ++added_, std::move(place), {}};
  if (why == Why::lost) byAddress_[address.payer()].insert(entry.number);
  const JoinOrder order = entry.member.order;
  latest_[entry.member.id] = order;
  if (entry.awaited) ++awaited_;
  ages.emplace(entry.number, Due{now + limits::kAbsentKept, order});
  byOrder_.emplace(order, std::move(entry));
  changed(order);
}

// Makes room for a lost member: at the cost of its own address, if that has used up its part.
Hold AbsentMembers::placeFor(const Account& address) {
  Hold place(address, limits::Held::absentMembers);
  Ages& ages = agesOf(Why::lost);
  while (ages.size() >= limits::kAbsentMembers || !place.resize(1)) {
    const auto own = byAddress_.find(address.payer());
    const bool isFull = ages.size() >= limits::kAbsentMembers || own == byAddress_.end();
    if (isFull && ages.empty()) break;
    const auto number = isFull ? ages.begin()->first : *own->second.begin();
    erase(byOrder_.find(ages.at(number).order));
  }
  return place;
}

void AbsentMembers::setSession(JoinOrder order, const Session& session, TimePoint now) {
  const auto entry = byOrder_.find(order);
  if (entry == byOrder_.end()) return;
  entry->second.session = session;
  entry->second.goesOnUntil = now + limits::kSessionAway;
}

std::optional<AbsentMembers::Session> AbsentMembers::sessionOf(const PeerId& id,
                                                               const InstanceKey& key,
                                                               JoinOrder order,
                                                               TimePoint now) const {
  const auto entry = byOrder_.find(order);
  if (entry == byOrder_.end() || now > entry->second.goesOnUntil) return std::nullopt;
  if (entry->second.member.id != id || entry->second.member.key != key) return std::nullopt;
  return entry->second.session;
}

bool AbsentMembers::take(const PeerId& id, const InstanceKey& key, JoinOrder order) {
  const auto entry = byOrder_.find(order);
  if (entry == byOrder_.end()) return false;
  if (entry->second.member.id != id || entry->second.member.key != key) return false;
  erase(entry);
  return true;
}

void AbsentMembers::startedAnew(const PeerId& id, const InstanceKey& key) {
  const auto entry = latestOf(id);
  if (entry != byOrder_.end() && entry->second.member.key == key) erase(entry);
}

bool AbsentMembers::release(const PeerId& id) {
  const auto entry = latestOf(id);
  if (entry == byOrder_.end()) return false;
  if (std::exchange(entry->second.awaited, false)) --awaited_;
  entry->second.isHeld = false;
  changed(entry->first);
  return true;
}

std::size_t AbsentMembers::releaseHome(ServerNumber home) {
  std::size_t released = 0;
  if (home == kNoServer) return released;
  for (auto& [order, entry] : byOrder_) {
    if (entry.home != home || !entry.isHeld || entry.awaited) continue;
    entry.isHeld = false;
    changed(order);
    ++released;
  }
  return released;
}

void AbsentMembers::stopAwaiting() {
  if (awaited_ == 0) return;
  for (auto& [order, entry] : byOrder_) entry.awaited = false;
  awaited_ = 0;
}

void AbsentMembers::expire(TimePoint now) {
  for (Ages& ages : ages_) {
    while (!ages.empty() && ages.begin()->second.at <= now) {
      erase(byOrder_.find(ages.begin()->second.order));
    }
  }
}

const Remembered* AbsentMembers::holder(const PeerId& id) const {
  const auto order = latest_.find(id);
  if (order == latest_.end()) return nullptr;
  const Entry& entry = byOrder_.at(order->second);
  return entry.isHeld ? &entry.member : nullptr;
}

std::vector<Remembered> AbsentMembers::lostLately(std::size_t most) const {
  std::vector<Remembered> lately;
  const Ages& ages = ages_[static_cast<std::size_t>(Why::lost)];
  std::size_t looked = 0;
  for (auto age = ages.rbegin(); age != ages.rend() && looked < most; ++age, ++looked) {
    const Entry& entry = byOrder_.at(age->second.order);
    if (entry.isHeld) lately.push_back(entry.member);
  }
  std::sort(lately.begin(), lately.end(),
            [](const auto& a, const auto& b) { return a.order < b.order; });
  return lately;
}

AbsentMembers::Entries::iterator AbsentMembers::latestOf(const PeerId& id) {
  const auto order = latest_.find(id);
  return order == latest_.end() ? byOrder_.end() : byOrder_.find(order->second);
}

void AbsentMembers::erase(Entries::iterator entry) {
  if (entry->second.awaited) --awaited_;
  agesOf(entry->second.why).erase(entry->second.number);
  if (entry->second.why == Why::lost) {
    const auto own = byAddress_.find(entry->second.place.account().payer());
    own->second.erase(entry->second.number);
    if (own->second.empty()) byAddress_.erase(own);
  }
  const auto latest = latest_.find(entry->second.member.id);
  if (latest != latest_.end() && latest->second == entry->first) latest_.erase(latest);
  changed(entry->first);
  byOrder_.erase(entry);
}

// --- for the copies ---

void AbsentMembers::changed(JoinOrder order) {
  if (isFollowed_ && changed_.size() < limits::kAbsentCopied) changed_.insert(order);
}

wire::AbsentRow AbsentMembers::rowOf(const Entry& entry) {
  const auto& [id, key, order, endpoint] = entry.member;
  return {{id, order, endpoint}, key, entry.why == Why::restart, !entry.isHeld};
}

std::vector<wire::AbsentRow> AbsentMembers::follow() {
  isFollowed_ = true;
  changed_.clear();
  std::vector<wire::AbsentRow> rows;
  rows.reserve(byOrder_.size());
  for (const auto& [order, entry] : byOrder_) rows.push_back(rowOf(entry));
  return rows;
}

AbsentChanges AbsentMembers::takeChanges() {
  AbsentChanges changes;
  for (const JoinOrder order : std::exchange(changed_, {})) {
    const auto entry = byOrder_.find(order);
    if (entry == byOrder_.end()) {
      changes.gone.push_back(order);
    } else {
      changes.rows.push_back(rowOf(entry->second));
    }
  }
  return changes;
}

}  // namespace espalier::metaserver
