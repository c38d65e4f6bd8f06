#include "common/net/shares.h"

namespace espalier::net {

void Shares::set(ConnectionId connection, const Payer& payer, std::uint64_t amount,
                 std::uint64_t rank) {
  remove(connection);
  if (amount == 0) return;
  const auto [group, isNew] = groups_.try_emplace(payer);
  totals_.erase({group->second.total, &group->first});
  group->second.total += amount;
  totals_.emplace(group->second.total, &group->first);
  group->second.ranks.emplace(rank, connection);
  parts_.emplace(connection, Part{group, amount, rank});
}

void Shares::remove(ConnectionId connection) {
  const auto found = parts_.find(connection);
  if (found == parts_.end()) return;
  const Part part = found->second;
  parts_.erase(found);
  Group& group = part.group->second;
  totals_.erase({group.total, &part.group->first});
  group.ranks.erase({part.rank, connection});
  group.total -= part.amount;
  if (group.ranks.empty()) {
    groups_.erase(part.group);
  } else {
    totals_.emplace(group.total, &part.group->first);
  }
}

std::optional<Shares::Loser> Shares::loserOf(const Payer& payer) const {
  const auto group = groups_.find(payer);
  if (group == groups_.end()) return std::nullopt;
  const auto& [rank, connection] = *group->second.ranks.begin();
  return Loser{connection, rank};
}

std::optional<Shares::Loser> Shares::loser() const {
  if (totals_.empty()) return std::nullopt;
  return loserOf(*totals_.rbegin()->second);
}

}  // namespace espalier::net
