// The last events, for pages that follow them. Each has a number; a page says which it had last,
// and gets those behind it, or learns that they are gone.
//
//   add() --> kept --limits::kWebEvents newer ones, or kWebEventBytes--> forgotten
//
// An id is EPOCH.NUMBER. The epoch is that of this run of the program: numbers of another run mean
// nothing.
//
// Invariants: numbers go up by one; what is kept has the highest ones.
//
// Not thread-safe: its owner, the feed, guards it. O(1) to add, O(what is returned) to read.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace espalier::web {

struct Position {
  std::uint64_t epoch = 0;
  std::uint64_t number = 0;  // of the last event that is known

  std::string text() const;
  static std::optional<Position> parse(std::string_view text);
  bool operator==(const Position&) const = default;
};

class EventRing {
 public:
  explicit EventRing(std::uint64_t epoch) : epoch_(epoch) {}

  // `data` is one line of JSON.
  void add(std::string kind, std::string data);
  Position last() const { return {epoch_, last_}; }
  // Those behind `from` in the format of Server-Sent Events, `most` at most; moves `from` on.
  // Nothing: `from` is of another run, or what follows it is forgotten.
  std::optional<std::string> behind(Position& from, std::size_t most) const;

 private:
  struct Event {
    std::string kind;
    std::string data;
  };

  const std::uint64_t epoch_;
  std::uint64_t last_ = 0;
  std::size_t bytes_ = 0;
  std::deque<Event> events_;
};

}  // namespace espalier::web
