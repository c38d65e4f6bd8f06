// Numbers in place of the names of rooms, for those who keep the rooms of each member: ten rooms
// take 20 bytes of a list, and 800 of a set of names.
//
//   free --take()--> in use --drop(), as often as it was taken--> free
//
// A number means another room once it was free. Does no I/O. Not thread-safe. O(log rooms) each;
// some 100 bytes a room.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <vector>

#include "common/base/ids.h"

namespace espalier::metaserver::rooms {

class RoomNumbers {
 public:
  using Number = std::uint16_t;

  RoomNumbers() = default;
  RoomNumbers(RoomNumbers&&) = default;
  RoomNumbers& operator=(RoomNumbers&&) = default;

  // Used once more. Nothing: all numbers are in use, 65 times as many as a network has rooms.
  std::optional<Number> take(const RoomName& room) {
    auto known = numbers_.find(room);
    if (known == numbers_.end()) {
      if (free_.empty() && rows_.size() > std::numeric_limits<Number>::max()) return std::nullopt;
      if (free_.empty()) {
        free_.push_back(static_cast<Number>(rows_.size()));
        rows_.emplace_back();
      }
      known = numbers_.emplace(room, free_.back()).first;
      rows_[free_.back()].room = &known->first;
      free_.pop_back();
    }
    ++rows_[known->second].users;
    return known->second;
  }
  // It is in use.
  void drop(Number number) {
    if (--rows_[number].users > 0) return;
    numbers_.erase(numbers_.find(*rows_[number].room));
    free_.push_back(number);
  }

  std::optional<Number> find(const RoomName& room) const {
    const auto known = numbers_.find(room);
    if (known == numbers_.end()) return std::nullopt;
    return known->second;
  }
  // Of a number that is in use.
  const RoomName& nameOf(Number number) const { return *rows_[number].room; }
  std::size_t usersOf(Number number) const { return rows_[number].users; }
  // Those in use, in the order of the names.
  const std::map<RoomName, Number>& all() const { return numbers_; }

 private:
  struct Row {
    const RoomName* room = nullptr;  // the key in numbers_
    std::uint32_t users = 0;
  };
  std::map<RoomName, Number> numbers_;
  std::vector<Row> rows_;  // by number
  std::vector<Number> free_;
};

// Puts a value into a sorted list that grows by an eighth, because there is one for each room.
template <typename T, typename Less = std::less<>>
void insertSorted(std::vector<T>& list, const T& value, Less less = {}) {
  const auto at = std::lower_bound(list.begin(), list.end(), value, less) - list.begin();
  if (list.size() == list.capacity()) list.reserve(list.size() + list.size() / 8 + 4);
  list.insert(list.begin() + at, value);
}

template <typename T, typename Less = std::less<>>
void eraseSorted(std::vector<T>& list, const T& value, Less less = {}) {
  const auto at = std::lower_bound(list.begin(), list.end(), value, less);
  if (at == list.end() || *at != value) return;
  list.erase(at);
  if (list.capacity() > 2 * list.size() + 16) list.shrink_to_fit();
}

}  // namespace espalier::metaserver::rooms
