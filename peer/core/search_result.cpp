#include "peer/core/search_result.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "common/base/text.h"
#include "peer/core/coverage.h"

namespace espalier::peer {

std::vector<FoundFile> mergeHits(const std::set<wire::Hit>& hits) {
  std::map<std::pair<std::string, FileRoot>, std::pair<std::uint64_t, std::map<PeerId, Holder>>>
      files;
  for (const auto& hit : hits) {
    auto& [size, holders] = files[{hit.name, hit.root}];
    size = std::max(size, hit.sizeBytes);
    holders.try_emplace(hit.holder, Holder{hit.holder, hit.endpoint, hit.partial});
  }
  std::vector<FoundFile> result;
  for (const auto& [key, found] : files) {
    FoundFile file{key.first, found.first, key.second, {}};
    for (const auto& [id, holder] : found.second) file.holders.push_back(holder);
    result.push_back(std::move(file));
  }
  // Stable: the map has them by name, then by root.
  std::stable_sort(result.begin(), result.end(), [](const FoundFile& a, const FoundFile& b) {
    return a.holders.size() > b.holders.size();
  });
  return result;
}

void nameMissing(const std::vector<wire::Missing>& named, const Coverage& covered,
                 SearchResult& result) {
  auto left = result.members - std::min(result.members, result.searched);
  std::map<PeerId, wire::Missing> peers;
  for (const auto& missing : named) {
    auto& entry = peers.try_emplace(missing.id, missing).first->second;
    entry.below = std::max(entry.below, missing.below);
  }
  // First those who did not answer themselves: their names are sure, the numbers below them may be
  // out of date.
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

std::string coverageText(const SearchResult& result) {
  std::string text =
      "searched " + std::to_string(result.searched) + " of " + counted(result.members, "peer");
  std::string names;
  for (const auto& peer : result.missing) {
    if (!names.empty()) names += ", ";
    const auto id = escaped(peer.id.text());
    const auto below = std::to_string(peer.below);
    if (peer.answered) {
      names += below + " below " + id;
    } else {
      names += peer.below == 0 ? id : id + " and " + below + " below it";
    }
  }
  if (result.missingUnnamed > 0 && !names.empty()) {
    names += " and " + counted(result.missingUnnamed, "other");
  }
  if (!names.empty()) text += "; missing: " + names;
  for (std::size_t i = 0; i < result.indexing.size(); ++i) {
    text += i == 0 ? "; still indexing: " : ", ";
    text += escaped(result.indexing[i].text());
  }
  return text;
}

}  // namespace espalier::peer
