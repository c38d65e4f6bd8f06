// The peers that ParentSearch asks in one pass, and their order: first those that peers referred it
// to, breadth first, so that the peer attaches as near to the root as it can; then its contacts.
// Each is asked once a pass. One id may have two endpoints, because a peer that was started again
// is known as it was, too. The walk along referrals is bounded by limits::kWalk; during a long one
// every kWalkSteps-th candidate is a contact, so that peers that refer on without end keep this one
// from nobody. No I/O; O(log n) a step.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/base/limits.h"
#include "common/wire/contact.h"

namespace espalier::peer {

class Candidates {
 public:
  // Begins a new pass.
  void clear() {
    walk_.clear();
    contacts_.clear();
    asked_.clear();
    steps_ = 0;
  }

  void first(const wire::Contact& contact) {
    if (walk_.size() < limits::kWalk) walk_.push_front(contact);
  }

  // Of one peer's children the one that joined first is asked first, as topo::planFailure expects.
  void refer(std::vector<wire::Contact> contacts) {
    std::sort(contacts.begin(), contacts.end(),
              [](const auto& a, const auto& b) { return a.order < b.order; });
    for (const auto& contact : contacts) {
      if (walk_.size() < limits::kWalk) walk_.push_back(contact);
    }
  }

  void contacts(std::vector<wire::Contact> contacts) {
    contacts_.assign(contacts.begin(), contacts.end());
  }

  // Never asked in this pass.
  void exclude(const wire::Contact& contact) { asked_.insert({contact.id, contact.endpoint}); }

  std::optional<wire::Contact> next() {
    const bool contactsTurn = !contacts_.empty() && ++steps_ % kWalkSteps == 0;
    const std::array queues =
        contactsTurn ? std::array{&contacts_, &walk_} : std::array{&walk_, &contacts_};
    for (auto* queue : queues) {
      while (!queue->empty() && asked_.size() < limits::kWalk) {
        wire::Contact contact = std::move(queue->front());
        queue->pop_front();
        if (asked_.insert({contact.id, contact.endpoint}).second) return contact;
      }
    }
    return std::nullopt;
  }

 private:
  static constexpr std::size_t kWalkSteps = 64;  // of the walk, then a contact has its turn

  std::deque<wire::Contact> walk_;
  std::deque<wire::Contact> contacts_;
  std::set<std::pair<PeerId, Endpoint>> asked_;
  std::size_t steps_ = 0;
};

}  // namespace espalier::peer
