#include "metaserver/core/cluster/merge.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace espalier::metaserver::cluster {

Merged merge(std::span<const Side> sides) {
  std::vector<Side> byEpoch(sides.begin(), sides.end());
  std::sort(byEpoch.begin(), byEpoch.end(),
            [](const Side& a, const Side& b) { return a.epoch < b.epoch; });
  std::map<JoinOrder, MemberRow> rows;
  for (const Side& side : byEpoch) {
    for (const auto& [order, shared] : side.directory->copy().rows()) {
      const MemberRow& row = *shared;
      const auto [there, isNew] = rows.try_emplace(order, row);
      if (isNew) continue;
      const MemberRow& other = there->second;
      const bool isAway = row.home == kNoServer && other.home != kNoServer;
      const bool isOlder = row.generation < other.generation;
      if (isOlder || (row.generation == other.generation && isAway)) continue;
      there->second = row;
    }
  }
  std::map<JoinOrder, wire::AbsentRow> absent;
  for (const Side& side : byEpoch) {
    for (auto [order, row] : side.directory->absent()) {
      row.isBefore = row.isBefore && side.isAwaiting;
      if (!rows.contains(order)) absent.insert_or_assign(order, std::move(row));
    }
  }
  std::unordered_map<InstanceKey, const MemberRow*> peers;
  const auto isNewer = [](const MemberRow& a, const MemberRow& b) {
    return std::tie(a.generation, a.contact.order) > std::tie(b.generation, b.contact.order);
  };
  for (const auto& [order, row] : rows) {
    const MemberRow*& latest = peers[row.key];
    if (latest == nullptr || isNewer(row, *latest)) latest = &row;
  }
  Merged merged;
  for (auto& [order, row] : absent) {
    if (!peers.contains(row.key)) merged.absent.push_back(std::move(row));
  }
  std::unordered_set<PeerId> owned;
  for (auto& [order, row] : rows) {
    if (peers[row.key] != &row) continue;
    auto& to = owned.insert(row.contact.id).second ? merged.rows : merged.clashes;
    to.push_back(std::move(row));
  }
  return merged;
}

}  // namespace espalier::metaserver::cluster
