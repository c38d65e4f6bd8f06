#include "peer/core/search_branches.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"

namespace espalier::peer {

void SearchBranch::ask() {
  asked = true;
  waits = true;
  done = false;
}

void SearchBranch::sent() {
  waits = false;
  everAsked = true;
}

wire::Missing SearchBranch::missing(std::uint64_t behind, const Coverage& coverage) const {
  const auto others = behind > 0 ? behind - 1 : 0;
  const bool answered = coverage.contains(order);
  const auto othersHeard = heard - (answered && heard > 0 ? 1 : 0);
  return {peer, order, others > othersHeard ? others - othersHeard : 0};
}

SearchBranch& SearchBranches::add(ConnectionId id, const SearchLink& link) {
  const auto [place, isNew] = branches_.try_emplace(id);
  auto& branch = place->second;
  if (isNew) {
    branch.peer = link.peer();
    branch.order = link.order();
    branch.peersAtFirst = link.peers();
    branch.arrivedAtFirst = link.arrived();
  }
  return branch;
}

SearchBranch* SearchBranches::everAsked(ConnectionId link) {
  const auto branch = branches_.find(link);
  return branch == branches_.end() || !branch->second.everAsked ? nullptr : &branch->second;
}

SearchBranch* SearchBranches::waiting(ConnectionId link) {
  const auto branch = branches_.find(link);
  return branch == branches_.end() || !branch->second.waits ? nullptr : &branch->second;
}

std::vector<ConnectionId> SearchBranches::withdraw() {
  std::vector<ConnectionId> asked;
  for (auto& [link, branch] : branches_) {
    if (!branch.asked) continue;
    branch.asked = false;
    branch.done = false;
    if (!std::exchange(branch.waits, false)) asked.push_back(link);
  }
  return asked;
}

bool SearchBranches::areDone() const {
  return lost_.empty() && std::none_of(branches_.begin(), branches_.end(), [](const auto& branch) {
           return branch.second.isPending();
         });
}

void SearchBranches::lose(ConnectionId link, std::uint64_t behind, TimePoint now,
                          SearchKnowledge& knowledge) {
  const auto branch = branches_.find(link);
  if (branch == branches_.end()) return;
  if (branch->second.isPending()) {
    const auto missing = branch->second.missing(behind, knowledge.coverage());
    if (lost_.size() >= limits::kBranchesDown) {
      knowledge.addMissing(lost_.front().missing);
      lost_.erase(lost_.begin());
    }
    lost_.push_back({missing, now + limits::kSearchGrace});
  }
  branches_.erase(branch);
}

void SearchBranches::returned(const PeerId& peer) {
  std::erase_if(lost_, [&](const Lost& lost) { return lost.missing.id == peer; });
}

void SearchBranches::tick(TimePoint now, SearchKnowledge& knowledge) {
  std::erase_if(lost_, [&](const Lost& lost) {
    if (now < lost.until) return false;
    knowledge.addMissing(lost.missing);
    return true;
  });
}

TimePoint SearchBranches::deadline() const {
  TimePoint due = kNever;
  for (const auto& lost : lost_) due = std::min(due, lost.until);
  return due;
}

void SearchBranches::expire(const SearchLinks& links, SearchKnowledge& knowledge) {
  for (const auto& [id, branch] : branches_) {
    if (!branch.isPending()) continue;
    const auto link = links.find(id);
    const auto behind = link == links.end() ? 0 : link->second.behind();
    knowledge.addMissing(branch.missing(behind, knowledge.coverage()));
  }
  for (const auto& lost : lost_) knowledge.addMissing(lost.missing);
  lost_.clear();
}

void SearchBranches::cover(SearchBranch& branch, const SearchLink& link, const Coverage& claimed,
                           SearchKnowledge& knowledge) {
  auto fresh = claimed.minus(knowledge.coverage());
  if (fresh.contains(branch.order)) {
    fresh.remove(branch.order);
    branch.heard += knowledge.cover(branch.order);
  }
  if (fresh.empty()) return;
  const bool answered = knowledge.coverage().contains(branch.order);
  const auto others = branch.heard - (answered && branch.heard > 0 ? 1 : 0);
  const auto most = branch.peers(link) - 1;
  const auto counted = fresh.lowest(most - std::min(most, others));
  branch.heard += knowledge.cover(counted.ranges());
  if (counted.size() == fresh.size() && branch.waiting.empty()) return;  // none must wait
  branch.waiting.add(fresh.minus(counted));
  branch.waiting = branch.waiting.lowest(link.speakers());
}

void SearchBranches::recount(const SearchLinks& links, SearchKnowledge& knowledge) {
  for (auto& [id, branch] : branches_) {
    const auto link = links.find(id);
    if (branch.waiting.empty() || link == links.end()) continue;
    cover(branch, link->second, std::exchange(branch.waiting, {}), knowledge);
  }
}

std::vector<wire::Missing> SearchBranches::believed(const SearchLinks& links,
                                                    const SearchKnowledge& knowledge) {
  std::map<ConnectionId, std::uint64_t> left;
  for (const auto& [id, branch] : branches_) {
    const auto link = links.find(id);
    if (link == links.end()) continue;
    const auto peers = branch.peers(link->second);
    left[id] = peers - std::min(peers, branch.heard);
  }
  std::vector<wire::Missing> result;
  for (const auto& [id, named] : knowledge.missingNamed()) {
    auto missing = named.missing;
    const auto most = named.link ? left.find(*named.link) : left.end();
    if (most != left.end()) {
      const bool answered =
          missing.order != kNoOrder && knowledge.coverage().contains(missing.order);
      const std::uint64_t itself = answered ? 0 : 1;
      if (most->second < itself) continue;
      missing.below = std::min(missing.below, most->second - itself);
      most->second -= itself + missing.below;
    }
    result.push_back(std::move(missing));
  }
  return result;
}

bool SearchBranches::mayKeepHit(const SearchBranch& branch, const SearchLink& link) const {
  return branch.hits < limits::kHitsPerPeer * branch.peers(link) &&
         shares_.hasRoom(branch.weight, branches_.size());
}

void SearchBranches::countHit(SearchBranch& branch, std::size_t nameBytes) {
  const auto weight = HitShares::weightOf(nameBytes);
  shares_.count(branch.weight, weight, branches_.size());
  branch.weight += weight;
  ++branch.hits;
}

}  // namespace espalier::peer
