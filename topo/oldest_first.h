// A queue of nodes by order of joining, oldest first, made for what networks do: nearly everybody
// who comes is younger than all who are there.
//
// Such an entry is appended to a sorted run; the few others go to a heap beside it. Erasing only
// counts: the entry stays until it reaches the front or too many like it have gathered, which is
// found out by asking the caller's `valid(entry)`. An entry may thus stand twice, which harms
// nobody, and insert, erase and front are O(1) amortised for youngest-last traffic, O(log n) else.
//
// Invariant after prune(): if size() > 0, front() is valid.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <vector>

#include "topo/node_index.h"

namespace espalier::topo {

class OldestFirst {
 public:
  struct Entry {
    JoinOrder order;
    NodeIndex node;
    auto operator<=>(const Entry&) const = default;
  };

  std::size_t size() const { return live_; }

  void insert(Entry entry) {
    ++live_;
    if (head_ == run_.size() || run_.back() <= entry) {
      run_.push_back(entry);
    } else {
      late_.push_back(entry);
      std::push_heap(late_.begin(), late_.end(), std::greater<>());
    }
  }

  // From here on `valid` must deny the entry of that node.
  void erase(NodeIndex node) {
    --live_;
    if (head_ < run_.size() && run_.back().node == node) run_.pop_back();
  }

  // `soon(node)` is told who may be asked about next, so that the caller can begin to fetch it.
  template <typename Valid, typename Soon>
  void prune(const Valid& valid, const Soon& soon) {
    if (live_ == 0) {
      *this = OldestFirst();  // gives the memory back: a long line has a million empty queues
      return;
    }
    if (run_.size() - head_ + late_.size() > 2 * live_ + kSlack) compact(valid);
    while (head_ < run_.size() && !valid(run_[head_])) ++head_;
    while (!late_.empty() && !valid(late_.front())) {
      std::pop_heap(late_.begin(), late_.end(), std::greater<>());
      late_.pop_back();
    }
    if (head_ > kSlack && head_ > run_.size() / 2) {
      run_.erase(run_.begin(), run_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
    if (head_ + 1 < run_.size()) soon(run_[head_ + 1].node);
    for (std::size_t i = 1; i < std::min<std::size_t>(late_.size(), 3); ++i) soon(late_[i].node);
  }

  Entry front() const {
    if (head_ == run_.size()) return late_.front();
    return late_.empty() ? run_[head_] : std::min(run_[head_], late_.front());
  }

  // All that are in it, oldest first: O(n log n).
  template <typename Valid>
  std::vector<Entry> sorted(const Valid& valid) const {
    std::vector<Entry> entries;
    for (std::size_t i = head_; i < run_.size(); ++i) entries.push_back(run_[i]);
    entries.insert(entries.end(), late_.begin(), late_.end());
    std::erase_if(entries, [&](const Entry& entry) { return !valid(entry); });
    if (!std::is_sorted(entries.begin(), entries.end())) std::sort(entries.begin(), entries.end());
    entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
    return entries;
  }

 private:
  static constexpr std::size_t kSlack = 64;  // compacting less than a page's worth saves nothing

  template <typename Valid>
  void compact(const Valid& valid) {
    run_ = sorted(valid);
    late_.clear();
    head_ = 0;
  }

  std::vector<Entry> run_;  // sorted; what is before head_ is done with
  std::size_t head_ = 0;
  std::vector<Entry> late_;  // a heap, oldest on top
  std::size_t live_ = 0;
};

}  // namespace espalier::topo
