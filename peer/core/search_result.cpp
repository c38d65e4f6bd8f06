#include "peer/core/search_result.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "peer/core/coverage.h"

namespace espalier::peer {

std::vector<FoundFile> mergeHits(const std::set<wire::Hit>& hits) {
  std::map<std::tuple<std::string_view, FileRoot, std::uint64_t>, std::vector<Holder>> files;
  for (const auto& hit : hits) {
    files[{hit.name, hit.root, hit.sizeBytes}].push_back({hit.holder, hit.endpoint, hit.partial});
  }
  std::vector<std::pair<std::size_t, FoundFile>> counted;
  for (auto& [key, holders] : files) {
    const auto& [name, root, size] = key;
    FoundFile file{std::string(name), size, root, mergeHolders(std::move(holders))};
    counted.emplace_back(idsOf(file.holders).size(), std::move(file));
  }
  // Stable, so the order of the map stays: by name, then by root, then by size.
  std::stable_sort(counted.begin(), counted.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<FoundFile> result;
  result.reserve(counted.size());
  for (auto& [holders, file] : counted) result.push_back(std::move(file));
  return result;
}

std::vector<PeerId> idsOf(const std::vector<Holder>& holders) {
  std::vector<PeerId> ids;
  std::set<PeerId> seen;
  for (const auto& holder : holders) {
    if (seen.insert(holder.id).second) ids.push_back(holder.id);
  }
  return ids;
}

std::vector<Holder> mergeHolders(std::vector<Holder> holders) {
  std::sort(holders.begin(), holders.end());
  std::vector<Holder> merged;
  for (auto& holder : holders) {
    const bool same = !merged.empty() && merged.back().id == holder.id &&
                      merged.back().endpoint == holder.endpoint;
    if (!same) {
      merged.push_back(std::move(holder));
    } else {
      merged.back().partial = merged.back().partial || holder.partial;
    }
  }
  return merged;
}

std::uint64_t countMissing(const std::vector<wire::Missing>& named, const Coverage& covered) {
  std::set<PeerId> missing;
  for (const auto& peer : named) {
    if (peer.order == kNoOrder || !covered.contains(peer.order)) missing.insert(peer.id);
  }
  return missing.size();
}

void nameMissing(const std::vector<wire::Missing>& named, const Coverage& covered,
                 SearchResult& result) {
  auto left = result.members - std::min(result.members, result.searched);
  std::map<PeerId, wire::Missing> peers;
  for (const auto& missing : named) {
    auto& entry = peers.try_emplace(missing.id, missing).first->second;
    entry.below = std::max(entry.below, missing.below);
  }
  // First the peers that did not answer: their ids are certain, while the numbers of peers behind
  // them may be out of date.
  for (const auto& [id, missing] : peers) {
    const bool answered = missing.order != kNoOrder && covered.contains(missing.order);
    if (!answered && left == 0) continue;
    if (answered && missing.below == 0) continue;
    result.missing.push_back({id, answered, missing.below});
    if (!answered) --left;
  }
  for (auto& missing : result.missing) {
    missing.below = std::min(missing.below, left);
    left -= missing.below;
  }
  std::erase_if(result.missing,
                [](const MissingPeer& peer) { return peer.answered && peer.below == 0; });
  result.missingUnnamed = left;
}

}  // namespace espalier::peer
