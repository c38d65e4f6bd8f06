// How much of one resource each connection of an EventLoop uses, and which of them loses its part
// when the resource is used up: of the payer that uses most, the connection with the least rank.
// So whoever causes a shortage loses by it, and nobody else.
//
// Invariants: a connection is listed at most once, with an amount above 0; a payer is listed while
// one of its connections is. Not thread-safe: the loop's thread only. Cost: O(log n) a change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "common/base/budget.h"
#include "common/base/ids.h"

namespace espalier::net {

class Shares {
 public:
  // Replaces the connection's part; an amount of 0 removes it.
  void set(ConnectionId connection, const Payer& payer, std::uint64_t amount, std::uint64_t rank);
  void remove(ConnectionId connection);

  bool isEmpty() const { return parts_.empty(); }
  std::size_t size() const { return parts_.size(); }
  struct Loser {
    ConnectionId connection;
    std::uint64_t rank;
  };
  // Which connection of this payer loses, and which of the payer that uses most.
  std::optional<Loser> loserOf(const Payer& payer) const;
  std::optional<Loser> loser() const;
  // Calls function(connection) for each one. The function must not change this object.
  template <typename Function>
  void forEach(Function function) const {
    for (const auto& [connection, part] : parts_) function(connection);
  }

 private:
  struct Group {
    std::uint64_t total = 0;
    std::set<std::pair<std::uint64_t, ConnectionId>> ranks;
  };
  using Groups = std::map<Payer, Group>;
  struct Part {
    Groups::iterator group;
    std::uint64_t amount = 0;
    std::uint64_t rank = 0;
  };

  std::unordered_map<ConnectionId, Part> parts_;
  Groups groups_;
  std::set<std::pair<std::uint64_t, const Payer*>> totals_;  // of the groups
};

}  // namespace espalier::net
