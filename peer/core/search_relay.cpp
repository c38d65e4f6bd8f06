// How one open search moves through its states: relayed, adopted, orphaned, expired, ended.
#include <algorithm>

#include "common/base/limits.h"
#include "peer/core/search.h"

namespace espalier::peer {

using std::chrono::milliseconds;

// Asks every link that was not asked yet, but not upstream. Without a way to the asker it asks
// nobody: two orphans would take each other for the way.
void Searches::relay(OpenSearch& search, TimePoint now, Effects& fx) {
  if (search.isOrphan() || search.expired || now >= search.shareEnds) return;
  auto query = search.query;
  query.budget = budgetBehind(std::chrono::duration_cast<milliseconds>(search.shareEnds - now),
                              query.hopsLeft);
  if (query.hopsLeft > 0) --query.hopsLeft;
  for (const auto& [id, link] : links_) {
    if (search.upstream == id) continue;
    auto& branch = search.branches[id];
    if (branch.asked) continue;
    branch.peer = link.peer;
    branch.order = link.order;
    if (search.query.hopsLeft == 0) {
      search.knowledge.addMissing(search.missingBehind(branch, link.behind));
      continue;
    }
    branch.asked = true;
    branch.everAsked = true;
    branch.done = false;
    fx.send(id, query);
  }
}

// `link` is the way to the asker now, and gets all that is known.
void Searches::adopt(OpenSearch& search, ConnectionId link, const SearchOffer& offer, TimePoint now,
                     Effects& fx) {
  search.offers.erase(link);
  if (search.adoptions >= limits::kAdoptions) {
    wire::Answer decline;
    decline.id = search.query.id;
    decline.done = true;
    fx.send(link, std::move(decline));
    return;
  }
  ++search.adoptions;
  search.upstream = link;
  search.branches.erase(link);
  const auto most = search.arrived + limits::kSearchBudgetMost;
  search.shareEnds = std::max(search.shareEnds, std::min(offer.shareEnds, most));
  search.expired = search.expired && now >= search.shareEnds;
  search.query.hopsLeft = std::min<std::uint32_t>(offer.hopsLeft, limits::kMembers);
  search.knowledge.repeatAll();
  relay(search, now, fx);
  flush(search, fx);
}

void Searches::loseUpstream(OpenSearch& search, TimePoint now, Effects& fx) {
  search.upstream.reset();
  search.flushAt.reset();
  search.saidDone = false;
  while (!search.offers.empty() && search.isOrphan()) {
    const auto [link, offer] = *search.offers.begin();
    adopt(search, link, offer, now, fx);
  }
  if (!search.isOrphan()) return;
  search.knowledge.forgetNews();  // whoever adopts it gets everything
  for (auto& [link, branch] : search.branches) {
    if (!branch.asked) continue;
    branch.asked = false;
    branch.done = false;
    fx.send(link, wire::Lost{search.query.id});
  }
}

void Searches::loseBranch(OpenSearch& search, ConnectionId link, std::uint64_t behind,
                          TimePoint now) {
  const auto branch = search.branches.find(link);
  if (branch == search.branches.end()) return;
  if (branch->second.isPending() && !search.expired) {
    const auto missing = search.missingBehind(branch->second, behind);
    if (search.lost.size() >= limits::kBranchesDown) {
      search.knowledge.addMissing(search.lost.front().missing);
      search.lost.erase(search.lost.begin());
    }
    search.lost.push_back({missing, now + limits::kSearchGrace});
  }
  search.branches.erase(branch);
}

// The share of the time is over: whoever has not answered is named.
void Searches::expire(OpenSearch& search) {
  if (search.expired) return;
  search.expired = true;
  if (!search.matched) search.knowledge.addMissing({self_.id, self_.order, 0});
  for (const auto& [id, branch] : search.branches) {
    if (!branch.isPending()) continue;
    const auto link = links_.find(id);
    const auto behind = link == links_.end() ? 0 : link->second.behind;
    search.knowledge.addMissing(search.missingBehind(branch, behind));
  }
  for (const auto& lost : search.lost) search.knowledge.addMissing(lost.missing);
  search.lost.clear();
}

bool Searches::progress(OpenSearch& search, TimePoint now, Effects& fx) {
  bool ended = false;
  if (search.isMine) {
    ended = show(search, now, fx);
  } else if (search.isOrphan()) {
    search.knowledge.forgetNews();
  } else {
    sendNews(search, now, fx);
  }
  schedule(search);
  return ended;
}

void Searches::sendNews(OpenSearch& search, TimePoint now, Effects& fx) {
  const bool complete = search.isComplete();
  const bool hasNews = search.knowledge.hasNews();
  if (search.knowledge.hasNewHits() || complete != search.saidDone || (complete && hasNews)) {
    flush(search, fx);
  } else if (hasNews && !search.flushAt) {
    search.flushAt = now + limits::kCoverageDelay;
  }
}

void Searches::flush(OpenSearch& search, Effects& fx) {
  const auto link = links_.find(*search.upstream);
  const bool countHits = link != links_.end() && link->second.isCongested;
  std::vector<wire::Answer> answers;
  search.saidDone = search.isComplete();
  search.flushAt.reset();
  search.knowledge.takeAnswers(search.query.id, search.saidDone, countHits, answers);
  for (auto& answer : answers) fx.send(*search.upstream, std::move(answer));
}

// A search of ours: tells what is new, and ends it when there is nothing more to wait for.
bool Searches::show(OpenSearch& search, TimePoint now, Effects& fx) {
  const bool hasNews = search.knowledge.hasNews();
  SearchUpdate update;
  update.id = search.query.id;
  update.hits = search.knowledge.takeNewHits();
  update.searched = search.searched();
  update.members = search.members;
  bool ended = search.expired;
  if (!search.isComplete()) {
    search.graceEnds.reset();
  } else if (update.searched >= search.members) {
    ended = true;
  } else if (!search.graceEnds) {
    search.graceEnds = now + limits::kSearchGrace;
  } else {
    ended = ended || now >= *search.graceEnds;
  }
  if (ended) update.result = resultOf(search);
  if (hasNews || ended) fx.searchUpdates.push_back(std::move(update));
  return ended;
}

// True when it is to be forgotten.
bool Searches::tickOpen(OpenSearch& search, TimePoint now, Effects& fx) {
  std::erase_if(search.lost, [&](const LostBranch& lost) {
    if (now < lost.until) return false;
    search.knowledge.addMissing(lost.missing);
    return true;
  });
  if (now >= search.shareEnds) expire(search);
  if (search.isMine) return progress(search, now, fx);
  if (now >= search.forgetAt()) return true;
  if (search.flushAt && now >= *search.flushAt && search.upstream) flush(search, fx);
  return progress(search, now, fx);
}

// When all relayed searches keep too many hits, the oldest keeps none: after a heal it can only say
// how many there were.
void Searches::boundKeptHits(OpenSearch& changed) {
  const auto recount = [this](OpenSearch& search) {
    keptBytes_ -= search.countedBytes;
    search.countedBytes = search.isMine ? 0 : search.knowledge.hitsBytes();
    keptBytes_ += search.countedBytes;
  };
  recount(changed);
  while (keptBytes_ > limits::kHitsKeptBytes) {
    OpenSearch* oldest = nullptr;
    for (auto& [id, search] : open_) {
      if (search.countedBytes == 0) continue;
      if (oldest == nullptr || search.arrived < oldest->arrived) oldest = &search;
    }
    oldest->knowledge.dropHits();
    recount(*oldest);
  }
}

SearchResult Searches::resultOf(OpenSearch& search) {
  expire(search);
  SearchResult result;
  result.id = search.query.id;
  result.files = mergeHits(search.knowledge.hits());
  result.searched = search.searched();
  result.members = search.members;
  result.indexing = search.knowledge.indexing();
  result.moreHits = search.knowledge.moreHits();
  result.moreOf = search.knowledge.moreByHolder();
  nameMissing(search.knowledge.missing(), search.knowledge.coverage(), result);
  return result;
}

}  // namespace espalier::peer
