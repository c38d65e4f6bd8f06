#include "metaserver/core/rooms/log_on_disk.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"

namespace espalier::metaserver::rooms {

LogOnDisk::LogOnDisk(const Stored& stored) : log_(stored), durable_(log_.last().sequence) {
  for (const auto& [name, room] : log_.rooms()) untold_.insert(name);
}

bool LogOnDisk::append(const wire::RoomEntry& entry, RoomsEffects& fx) {
  if (!log_.append(entry, fx.writes)) return false;
  stepBytes_ += BatchFiller::bytesOf(entry);
  textBytes_ += entry.text.size();
  texts_.emplace(entry.position.sequence, entry);
  while (textBytes_ > limits::kRoomPendingBytes) {
    untold_.insert(texts_.begin()->second.room);
    dropText(texts_.begin());
  }
  return true;
}

void LogOnDisk::dropText(std::map<std::uint64_t, wire::RoomEntry>::iterator text) {
  textBytes_ -= text->second.text.size();
  texts_.erase(text);
}

void LogOnDisk::truncate(const wire::LogPosition& last, RoomsEffects& fx) {
  if (log_.last().sequence <= last.sequence) return;
  log_.truncate(last, fx.writes);
  durable_ = std::min(durable_, last.sequence);
  committed_ = std::min(committed_, last.sequence);
  delivered_ = std::min(delivered_, last.sequence);
  while (!texts_.empty() && texts_.rbegin()->first > last.sequence) {
    dropText(std::prev(texts_.end()));
  }
}

void LogOnDisk::commit(std::uint64_t sequence) {
  committed_ = std::max(committed_, std::min(sequence, log_.last().sequence));
}

void LogOnDisk::delivered(std::uint64_t sequence) {
  delivered_ = std::max(delivered_, sequence);
  while (!texts_.empty() && texts_.begin()->first <= delivered_) dropText(texts_.begin());
  for (auto name = untold_.begin(); name != untold_.end();) {
    const auto* room = log_.find(*name);
    const bool isTold =
        !room || room->entries().empty() || room->entries().back().position.sequence <= delivered_;
    name = isTold ? untold_.erase(name) : std::next(name);
  }
}

void LogOnDisk::endStep(RoomsEffects& fx) {
  if (fx.writes.empty()) return;
  fx.persist = ++writes_;
  unsyncedBytes_ += stepBytes_;
  unsynced_.push_back({writes_, log_.last(), std::exchange(stepBytes_, 0)});
}

void LogOnDisk::persisted(std::uint64_t number) {
  while (!unsynced_.empty() && unsynced_.front().number <= number) {
    const auto position = unsynced_.front().last;
    unsyncedBytes_ -= unsynced_.front().bytes;
    unsynced_.pop_front();
    // What was truncated meanwhile counts only if it is still there.
    if (log_.has(position)) durable_ = std::max(durable_, position.sequence);
  }
}

}  // namespace espalier::metaserver::rooms
