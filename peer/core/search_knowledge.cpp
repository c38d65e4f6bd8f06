#include "peer/core/search_knowledge.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"

namespace espalier::peer {
namespace {

// The memory of a hit without its name.
constexpr std::size_t kHitOverheadBytes = sizeof(wire::Hit) + 64;

std::size_t memoryOf(const wire::Hit& hit) {
  return hit.name.size() + hit.endpoint.host.size() + kHitOverheadBytes;
}

}  // namespace

// Fills answers. When one is full, it begins the next.
class SearchKnowledge::Writer {
 public:
  Writer(const QueryId& id, std::vector<wire::Answer>& out) : id_(id), out_(out) { next(); }

  template <typename Item>
  void add(std::vector<Item> wire::Answer::*list, const Item& item, std::size_t most) {
    const auto size = wire::sizeBound(item);
    if (bytes_ + size > limits::kSearchMessageBytes || (answer().*list).size() >= most) next();
    (answer().*list).push_back(item);
    bytes_ += size;
  }
  wire::Answer& answer() { return out_.back(); }

 private:
  void next() {
    out_.emplace_back().id = id_;
    bytes_ = wire::kAnswerOverheadBytes;
  }

  QueryId id_;
  std::vector<wire::Answer>& out_;
  std::size_t bytes_ = 0;
};

std::uint64_t SearchKnowledge::Counts::total() const {
  // Each term is bounded (limits::kMoreHits, or hits that were received), so this cannot wrap.
  return more + beyond + counted;
}

SearchKnowledge::Counts* SearchKnowledge::holder(const PeerId& id, bool mayBeNew) {
  const auto found = holders_.find(id);
  if (found != holders_.end()) return &found->second;
  if (!mayBeNew || holders_.size() >= limits::kHoldersKept) return nullptr;
  return &holders_[id];
}

std::uint64_t SearchKnowledge::cover(JoinOrder order) {
  const auto gained = coverage_.add(order);
  if (gained > 0) newCoverage_.add(order);
  return gained;
}

std::uint64_t SearchKnowledge::cover(const std::vector<wire::OrderRange>& ranges) {
  std::uint64_t gained = 0;
  for (const auto& range : ranges) gained += coverage_.add(range);
  if (gained == 0) return 0;
  for (const auto& range : ranges) newCoverage_.add(range);
  return gained;
}

std::optional<SearchKnowledge::HitPlace> SearchKnowledge::placeOf(const wire::Hit& hit) const {
  const auto place = hits_.lower_bound(hit);
  if (place != hits_.end() && *place == hit) return std::nullopt;
  return place;
}

void SearchKnowledge::addHit(const wire::Hit& hit) {
  if (const auto place = placeOf(hit)) addHit(hit, *place);
}

void SearchKnowledge::addHit(const wire::Hit& hit, HitPlace place) {
  // The hit is kept even if there is no room for counts of its holder.
  if (auto* const at = holder(hit.holder)) ++at->hits;
  newHits_.push_back(hit);
  if (!keepsHits_) return;
  hits_.insert(place, hit);
  hitsBytes_ += memoryOf(hit);
}

bool SearchKnowledge::countHit(const PeerId& id, bool mayBeNew) {
  const auto before = holders_.size();
  auto* const at = holder(id, mayBeNew);
  if (at == nullptr || at->beyond >= limits::kMoreHits) return false;
  ++at->beyond;
  newMore_.insert(id);
  return holders_.size() > before;
}

bool SearchKnowledge::addMore(const wire::More& more, bool mayBeNew) {
  const auto before = holders_.size();
  const auto hits = std::min(more.hits, limits::kMoreHits);
  if (hits == 0) return false;
  auto* const at = holder(more.holder, mayBeNew);
  if (at == nullptr || hits <= at->more) return false;
  at->more = hits;
  newMore_.insert(more.holder);
  return holders_.size() > before;
}

bool SearchKnowledge::addMissing(const wire::Missing& missing, bool mayBeNew,
                                 std::optional<ConnectionId> link) {
  const auto found = missing_.find(missing.id);
  if (found == missing_.end()) {
    if (!mayBeNew || missing_.size() >= limits::kMissingKept) return false;
    missing_.emplace(missing.id, NamedMissing{missing, link});
    newMissing_.insert(missing.id);
    return true;
  }
  auto& known = found->second;
  if (!link && known.link) {
    known = {missing, link};  // what this peer knows itself replaces what others say
  } else if (missing.below > known.missing.below && (!known.link || known.link == link)) {
    known.missing.below = missing.below;
  } else {
    return false;
  }
  newMissing_.insert(missing.id);
  return false;
}

bool SearchKnowledge::addIndexing(const PeerId& peer, bool mayBeNew) {
  if (indexing_.contains(peer)) return false;
  if (!mayBeNew || indexing_.size() >= limits::kHoldersKept) return false;
  indexing_.insert(peer);
  newIndexing_.insert(peer);
  return true;
}

bool SearchKnowledge::hasNews() const {
  return !newHits_.empty() || !newCoverage_.empty() || !newMore_.empty() || !newMissing_.empty() ||
         !newIndexing_.empty();
}

void SearchKnowledge::takeAnswers(const QueryId& id, bool done, bool countHits,
                                  std::vector<wire::Answer>& out) {
  Writer writer(id, out);
  for (const auto& hit : newHits_) {
    if (countHits) {
      auto* const at = holder(hit.holder);
      if (at == nullptr) continue;
      ++at->counted;
      newMore_.insert(hit.holder);
    } else {
      writer.add(&wire::Answer::hits, hit, limits::kHitsPerQuery);
    }
  }
  for (const auto& peer : newMore_) {
    writer.add(&wire::Answer::more, wire::More{peer, holders_[peer].total()}, limits::kHoldersKept);
  }
  for (const auto& peer : newIndexing_) {
    writer.add(&wire::Answer::indexing, peer, limits::kHoldersKept);
  }
  for (const auto& peer : newMissing_) {
    const auto& missing = missing_.at(peer).missing;
    if (missing.below == 0 && coverage_.contains(missing.order)) continue;
    writer.add(&wire::Answer::missing, missing, limits::kMissingNamed);
  }
  for (const auto& range : newCoverage_.ranges()) {
    writer.add(&wire::Answer::coverage, range, limits::kCoverageRanges);
  }
  writer.answer().done = done;
  forgetNews();
}

std::vector<wire::Hit> SearchKnowledge::takeNewHits() {
  auto hits = std::exchange(newHits_, {});
  forgetNews();
  return hits;
}

void SearchKnowledge::forgetNews() {
  newHits_.clear();
  newCoverage_.clear();
  newMore_.clear();
  newMissing_.clear();
  newIndexing_.clear();
}

void SearchKnowledge::repeatAll() {
  newCoverage_ = coverage_;
  newHits_.assign(hits_.begin(), hits_.end());
  newMore_.clear();
  for (auto& [id, holder] : holders_) {
    holder.counted = keepsHits_ ? 0 : holder.hits;
    if (holder.total() > 0) newMore_.insert(id);
  }
  for (const auto& [id, named] : missing_) newMissing_.insert(id);
  newIndexing_ = indexing_;
}

void SearchKnowledge::dropHits() {
  keepsHits_ = false;
  hits_.clear();
  hitsBytes_ = 0;
}

std::size_t SearchKnowledge::bytes() const {
  constexpr std::size_t kNameMemory = 192;  // a node of a tree with an id, twice for news
  constexpr std::size_t kRangeMemory = 2 * sizeof(wire::OrderRange);
  return hitsBytes_ + kNameMemory * (holders_.size() + missing_.size() + indexing_.size()) +
         kRangeMemory * coverage_.ranges().size();
}

std::vector<wire::Missing> SearchKnowledge::missing() const {
  std::vector<wire::Missing> result;
  for (const auto& [id, named] : missing_) result.push_back(named.missing);
  return result;
}

std::map<PeerId, std::uint64_t> SearchKnowledge::moreByHolder() const {
  std::map<PeerId, std::uint64_t> result;
  for (const auto& [id, holder] : holders_) {
    if (holder.total() > 0) result.emplace(id, holder.total());
  }
  return result;
}

std::uint64_t SearchKnowledge::moreHits() const {
  std::uint64_t total = 0;  // at most kHoldersKept terms of some 2^33: no wrapping
  for (const auto& [id, holder] : holders_) total += holder.total();
  return total;
}

}  // namespace espalier::peer
