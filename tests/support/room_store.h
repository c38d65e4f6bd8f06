// The disk of a metaserver's rooms (metaserver/core/rooms/room_store.h) in memory: what the shell's
// database does, without files. A value: a copy of it is a disk after a crash.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "metaserver/core/rooms/room_store.h"

namespace espalier::test {

class RoomStore {
 public:
  void write(const metaserver::rooms::StoreWrite& write) {
    std::visit([this](const auto& one) { carryOut(one); }, write);
  }
  metaserver::rooms::Stored stored() const {
    metaserver::rooms::Stored all;
    all.last = last_;
    for (const auto& [sequence, entry] : log_) {
      all.log.push_back({entry, static_cast<std::uint32_t>(entry.text.size())});
    }
    all.apart = apart_;
    for (const auto& [name, rest] : rests_) all.rests.push_back(rest);
    for (const auto& [sequence, rest] : ended_) all.ended.push_back(rest);
    for (const auto& [sequence, position] : epochs_) all.epochs.push_back(position);
    return all;
  }
  template <typename Message>
  void fill(Message& message, const metaserver::rooms::StoreRange& range) const {
    metaserver::rooms::BatchFiller filler;
    for (auto one = log_.upper_bound(range.after); one != log_.end() && one->first <= range.upTo;
         ++one) {
      if (!range.room.empty() && one->second.room != range.room) continue;
      if (!filler.add(one->second)) break;
    }
    filler.finish(message);
  }
  // The first ones that are apart.
  std::vector<wire::RoomEntry> apart() const {
    metaserver::rooms::BatchFiller filler;
    for (std::size_t i = 0; i < std::min<std::size_t>(apart_.size(), 20); ++i)
      filler.add(apart_[i]);
    return filler.take();
  }
  bool has(const RoomName& room, const wire::RoomEntryId& id) const {
    const auto isIt = [&](const wire::RoomEntry& one) { return one.room == room && one.id == id; };
    return std::any_of(log_.begin(), log_.end(),
                       [&](const auto& one) { return isIt(one.second); }) ||
           std::any_of(apart_.begin(), apart_.end(), isIt);
  }
  const std::map<std::uint64_t, wire::RoomEntry>& log() const { return log_; }
  bool hasApart() const { return !apart_.empty(); }

 private:
  void carryOut(const metaserver::rooms::StoreAppend& append) {
    log_.insert_or_assign(append.entry.position.sequence, append.entry);
    last_ = append.entry.position;
  }
  void carryOut(const metaserver::rooms::StoreEnd& end) {
    last_ = end.last;
    const auto from = log_.upper_bound(end.last.sequence);
    for (auto one = from; one != log_.end(); ++one) apart_.push_back(one->second);
    log_.erase(from, log_.end());
    epochs_.erase(epochs_.upper_bound(end.last.sequence), epochs_.end());
    ended_.erase(ended_.upper_bound(end.last.sequence), ended_.end());
  }
  void carryOut(const metaserver::rooms::StoreEpoch& epoch) {
    std::erase_if(epochs_, [&](const auto& one) { return one.second.epoch == epoch.last.epoch; });
    epochs_[epoch.last.sequence] = epoch.last;
  }
  void carryOut(const metaserver::rooms::StoreDropApart& drop) {
    std::erase_if(apart_, [&](const wire::RoomEntry& one) {
      return one.room == drop.room && one.id == drop.id;
    });
  }
  void carryOut(const metaserver::rooms::StoreRest& rest) {
    rests_[rest.rest.room] = rest.rest;
    std::erase_if(log_, [&](const auto& one) {
      return one.second.room == rest.rest.room && one.first <= rest.rest.before.sequence;
    });
  }
  void carryOut(const metaserver::rooms::StoreForget& forget) {
    const auto row = rests_.find(forget.room);
    if (row == rests_.end()) return;
    if (forget.hadGate) ended_[row->second.before.sequence] = row->second;
    rests_.erase(row);
  }

  std::map<std::uint64_t, wire::RoomEntry> log_;
  wire::LogPosition last_;
  std::vector<wire::RoomEntry> apart_;
  std::map<RoomName, wire::RoomRest> rests_;
  std::map<std::uint64_t, wire::RoomRest> ended_;  // by the sequence of the end
  std::map<std::uint64_t, wire::LogPosition> epochs_;
};

}  // namespace espalier::test
