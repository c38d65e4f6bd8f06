// The peers that ParentSearch asks in one pass, in the order in which it asks them:
//   1. peers to which other peers referred it, breadth first, so this peer attaches near the root
//   2. its own contacts
//
// Invariants: a contact (id and endpoint) is returned once a pass. One id may have two endpoints,
// because a contact of before a restart may still be known. At most limits::kWalk contacts are
// queued, and as many asked. Every kWalkSteps-th candidate is a contact of list 2, so peers that
// refer without end cannot keep this peer from its contacts.
//
// Part of ParentSearch. Does no I/O, not thread-safe. next() costs O(log n).
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

  // Asked before all others.
  void first(const wire::Contact& contact) {
    if (walk_.size() < limits::kWalk) walk_.push_front(contact);
  }

  // `contacts`: the children of one peer. The child that joined first is asked first, as
  // topo::planFailure expects.
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

  // The contact is not asked in this pass.
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
  static constexpr std::size_t kWalkSteps = 64;

  std::deque<wire::Contact> walk_;
  std::deque<wire::Contact> contacts_;
  std::set<std::pair<PeerId, Endpoint>> asked_;
  std::size_t steps_ = 0;
};

}  // namespace espalier::peer
