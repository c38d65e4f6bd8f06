// The peers that ParentSearch asks in one pass, in the order in which it asks them:
//   1. peers to which other peers referred it, breadth first, so this peer attaches near the root
//   2. its own contacts
// Before both come those that were put off in the pass before, so each is asked in the end, however
// many others are on the same machine.
//
// Invariants: an endpoint is returned once a pass, under whatever ids it is named. At most
// limits::kWalk contacts are queued, and as many asked. Every kWalkSteps-th candidate is a contact
// of list 2, so peers that refer without end cannot keep this peer from its contacts. Of the
// candidates that one peer named at most kPutOff are put off.
//
// Part of ParentSearch. Does no I/O, not thread-safe. next() costs O(log n).
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/base/limits.h"
#include "peer/core/named_contact.h"

namespace espalier::peer {

class Candidates {
 public:
  // Begins a pass of a new search, or the next pass of the same one.
  void clear() { *this = Candidates(); }
  void nextPass() {
    auto putOff = std::exchange(putOff_, {});
    clear();
    walk_ = std::move(putOff);
  }

  // Asked before all others.
  void first(NamedContact candidate) {
    if (walk_.size() < limits::kWalk) walk_.push_front(std::move(candidate));
  }
  // The same for one that next() has returned, and that was not asked.
  void again(NamedContact candidate) {
    asked_.erase(candidate.contact.endpoint);
    first(std::move(candidate));
  }

  // One that next() has returned, and that cannot be asked in this pass.
  void putOff(NamedContact candidate) {
    if (putOff_.size() >= limits::kWalk) return;
    if (++putOffBy_[candidate.by.payer()] <= kPutOff) putOff_.push_back(std::move(candidate));
  }

  // `contacts`: the children of one peer, as `by` says. The child that joined first is asked first,
  // as topo::planFailure expects.
  void refer(std::vector<wire::Contact> contacts, const Account& by) {
    std::sort(contacts.begin(), contacts.end(),
              [](const auto& a, const auto& b) { return a.order < b.order; });
    for (const auto& contact : contacts) {
      if (walk_.size() < limits::kWalk) walk_.push_back({contact, by});
    }
  }

  void contacts(std::vector<NamedContact> contacts) {
    contacts_.assign(std::make_move_iterator(contacts.begin()),
                     std::make_move_iterator(contacts.end()));
  }

  // The endpoint is not asked in this pass.
  void exclude(const wire::Contact& contact) { asked_.insert(contact.endpoint); }

  std::optional<NamedContact> next() {
    const bool contactsTurn = !contacts_.empty() && ++steps_ % kWalkSteps == 0;
    const std::array queues =
        contactsTurn ? std::array{&contacts_, &walk_} : std::array{&walk_, &contacts_};
    for (auto* queue : queues) {
      while (!queue->empty() && asked_.size() < limits::kWalk) {
        NamedContact candidate = std::move(queue->front());
        queue->pop_front();
        if (asked_.insert(candidate.contact.endpoint).second) return candidate;
      }
    }
    return std::nullopt;
  }

 private:
  static constexpr std::size_t kWalkSteps = 8;
  // The children of a full peer, or all contacts known at first hand.
  static constexpr std::size_t kPutOff =
      std::max<std::size_t>(limits::kMaxLinks, limits::kKnownContacts);

  std::deque<NamedContact> walk_;
  std::deque<NamedContact> contacts_;
  std::deque<NamedContact> putOff_;
  std::map<Payer, std::size_t> putOffBy_;
  std::set<Endpoint> asked_;
  std::size_t steps_ = 0;
};

}  // namespace espalier::peer
