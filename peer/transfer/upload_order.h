// The order in which the askers that have something to do get a slot.
//
// Fair by payer: one asker of each payer after the other. Askers that come for the first time go
// before those that were served already, because most of them want little. Every kOldAfter-th turn
// is one of the others, so that they go on.
//
// A queue without threads or I/O. Not thread-safe. push() and pop() cost O(payers).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <vector>

#include "common/base/budget.h"

namespace espalier::transfer {

class UploadOrder {
 public:
  using Key = std::uint64_t;
  static constexpr unsigned kOldAfter = 4;

  // An asker is in the queue once at most. `first`: it was never served.
  void push(Key asker, const Payer& payer, bool first);
  std::optional<Key> pop();
  void remove(Key asker);
  std::size_t size() const { return first_.size + old_.size; }
  bool empty() const { return size() == 0; }
  // All, in about the order in which they are served.
  std::vector<Key> list() const;

 private:
  struct Lane {
    Payer payer;
    std::deque<Key> askers;  // never empty
  };
  struct Turns {
    std::list<Lane> lanes;  // the next one first
    std::size_t size = 0;

    void push(Key asker, const Payer& payer);
    Key pop();
    void remove(Key asker);
    void list(std::vector<Key>& out) const;
  };

  Turns first_;
  Turns old_;
  unsigned firstInRow_ = 0;
};

}  // namespace espalier::transfer
