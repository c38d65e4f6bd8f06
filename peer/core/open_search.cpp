#include "peer/core/open_search.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "common/wire/file_form.h"

namespace espalier::peer {
namespace {

using std::chrono::milliseconds;

milliseconds shareOf(const wire::Query& query) {
  return std::clamp<milliseconds>(query.budget, limits::kSearchBudgetLeast,
                                  limits::kSearchBudgetMost);
}

// Whether the next peer accepts the hit: an invalid one would make it close the link.
bool isSendable(const wire::Hit& hit) {
  return !hit.name.empty() && hit.name.size() <= limits::kPathBytes &&
         hit.name.find('\0') == std::string::npos &&
         wire::isPossibleFile(hit.root, hit.sizeBytes) && !hit.endpoint.host.empty() &&
         hit.endpoint.port != 0;
}

}  // namespace

milliseconds searchBudget(std::uint64_t members) {
  const auto bounded = static_cast<std::int64_t>(std::min(members, limits::kMembers));
  return std::min<milliseconds>(limits::kSearchBudget + limits::kSearchBudgetMember * bounded,
                                limits::kSearchBudgetMost);
}

milliseconds budgetBehind(milliseconds budget, std::uint32_t hopsLeft) {
  // All hops together keep at most half of the time, so the far end of a long chain has time left.
  const auto share = std::min(budget / 10, budget / (hopsLeft + 1));
  return std::max<milliseconds>(budget - std::min<milliseconds>(limits::kSearchHop, share),
                                limits::kSearchBudgetLeast);
}

bool SearchScene::maySpeakOf(ConnectionId link, const PeerId& peer) const {
  return peer != self.id && std::none_of(links.begin(), links.end(), [&](const auto& each) {
           return each.first != link && each.second.isConfirmed() && each.second.peer() == peer;
         });
}

wire::Answer declineOf(const QueryId& id) {
  wire::Answer answer;
  answer.id = id;
  answer.done = true;
  return answer;
}

OpenSearch::OpenSearch(SearchScene& scene, wire::Query&& query,
                       std::optional<ConnectionId> upstream, TimePoint arrived)
    : scene_(scene),
      query_(std::move(query)),
      arrived_(arrived),
      shareEnds_(arrived + shareOf(query_)),
      upstream_(upstream) {
  query_.hopsLeft = std::min<std::uint32_t>(query_.hopsLeft, limits::kMembers);
}

OpenSearch::State OpenSearch::state() const {
  if (isOrphan()) return State::orphaned;
  return isMine() ? (isComplete() ? State::done : State::open)
                  : (saidDone_ ? State::done : State::open);
}

// --- from the asker

void OpenSearch::relay(TimePoint now, Effects& fx) {
  if (isOrphan() || isExpired_ || now >= shareEnds_) return;
  for (auto& [id, link] : scene_.links) {
    if (upstream_ == id) continue;
    auto& branch = branches_.add(id, link);
    if (branch.asked) continue;
    if (query_.hopsLeft == 0) {
      knowledge_.addMissing(branch.missing(link.behind(), knowledge_.coverage()));
      continue;
    }
    branch.ask();
    std::optional<QueryId> dropped;
    if (link.outbox().offer(query_.id, upstream_, query_.load, now, dropped)) {
      send(id, branch, now, fx);
    }
    if (dropped) scene_.unsent.emplace_back(id, *dropped);
  }
}

void OpenSearch::send(ConnectionId link, SearchBranch& branch, TimePoint now, Effects& fx) {
  auto query = query_;
  query.budget =
      budgetBehind(std::chrono::duration_cast<milliseconds>(shareEnds_ - now), query.hopsLeft);
  if (query.hopsLeft > 0) --query.hopsLeft;
  branch.sent();
  fx.send(link, std::move(query));
}

bool OpenSearch::sendWaiting(ConnectionId link, TimePoint now, Effects& fx) {
  auto* const branch = branches_.waiting(link);
  if (branch == nullptr || isOrphan() || isExpired_ || now >= shareEnds_) return false;
  send(link, *branch, now, fx);
  return true;
}

void OpenSearch::unsent(ConnectionId id) {
  auto* const branch = branches_.waiting(id);
  const auto link = scene_.links.find(id);
  if (branch == nullptr || link == scene_.links.end()) return;
  branch->waits = false;
  branch->done = true;
  knowledge_.addMissing(branch->missing(link->second.behind(), knowledge_.coverage()));
}

bool OpenSearch::offered(ConnectionId link, const wire::Query& query, TimePoint now, Effects& fx) {
  if (upstream_ == link || offers_.contains(link)) return false;
  const Offer offer{now + shareOf(query), query.hopsLeft};
  if (isOrphan()) {
    adopt(link, offer, now, fx);
    return true;
  }
  offers_.emplace(link, offer);
  fx.send(link, declineOf(query.id));
  return true;
}

// Makes the link the upstream, and sends it all that is known.
void OpenSearch::adopt(ConnectionId link, const Offer& offer, TimePoint now, Effects& fx) {
  offers_.erase(link);
  if (adoptions_ >= limits::kAdoptions) return fx.send(link, declineOf(query_.id));
  ++adoptions_;
  upstream_ = link;
  branches_.remove(link);
  const auto most = arrived_ + limits::kSearchBudgetMost;
  shareEnds_ = std::max(shareEnds_, std::min(offer.shareEnds, most));
  isExpired_ = isExpired_ && now >= shareEnds_;
  query_.hopsLeft = std::min<std::uint32_t>(offer.hopsLeft, limits::kMembers);
  knowledge_.repeatAll();
  relay(now, fx);
  flush(fx);
}

void OpenSearch::loseUpstream(TimePoint now, Effects& fx) {
  upstream_.reset();
  flushAt_.reset();
  saidDone_ = false;
  while (!offers_.empty() && isOrphan()) {
    const auto [link, offer] = *offers_.begin();
    adopt(link, offer, now, fx);
  }
  if (!isOrphan()) return;
  knowledge_.forgetNews();  // an adopted upstream gets everything again
  for (const auto link : branches_.withdraw()) fx.send(link, wire::Lost{query_.id});
}

void OpenSearch::lost(ConnectionId link, TimePoint now, Effects& fx) {
  offers_.erase(link);
  if (upstream_ == link) loseUpstream(now, fx);
}

// --- links

void OpenSearch::linkUp(const PeerId& peer, TimePoint now, Effects& fx) {
  branches_.returned(peer);
  relay(now, fx);
}

void OpenSearch::linkDown(ConnectionId link, std::uint64_t behind, TimePoint now, Effects& fx) {
  offers_.erase(link);
  if (isExpired_) {
    branches_.remove(link);
  } else {
    branches_.lose(link, behind, now, knowledge_);
  }
  if (upstream_ == link) loseUpstream(now, fx);
}

// --- what is known

bool OpenSearch::matched(std::vector<LocalHit> hits, std::uint64_t more, bool stillIndexing) {
  if (isMatched_) return false;
  isMatched_ = true;
  const auto& self = scene_.self;
  std::size_t kept = 0;
  for (auto& hit : hits) {
    wire::Hit full{std::move(hit.name), hit.sizeBytes, hit.root, self.id,
                   self.endpoint,       hit.partial};
    if (kept < limits::kHitsPerPeer && isSendable(full)) {
      knowledge_.addHit(full);
      ++kept;
    } else {
      ++more;
    }
  }
  knowledge_.addMore({self.id, more});
  if (stillIndexing) knowledge_.addIndexing(self.id);
  knowledge_.cover(self.order);
  return true;
}

const Pattern* OpenSearch::pattern() {
  if (!pattern_) pattern_ = Pattern::compile(query_.kind, query_.text);
  return pattern_->ok() ? &**pattern_ : nullptr;
}

// Whether no further answer is expected now.
bool OpenSearch::isComplete() const {
  if (isExpired_) return true;
  return isMatched_ && branches_.areDone();
}

// How many peers that count have answered.
std::uint64_t OpenSearch::covered() const {
  return asked_->count.countIn(knowledge_.coverage());
}

std::uint64_t OpenSearch::searched() const {
  return std::min(asked_->count.members(), covered());
}

// How many peers may speak over the links, this one included.
std::uint64_t OpenSearch::mostPeers() const {
  std::uint64_t most = 1;
  for (const auto& [id, link] : scene_.links) most += link.speakers();
  return most;
}

// The time is up: records the peers that have not answered as missing.
void OpenSearch::expire() {
  if (isExpired_) return;
  isExpired_ = true;
  if (!isMatched_) knowledge_.addMissing({scene_.self.id, scene_.self.order, 0});
  branches_.expire(scene_.links, knowledge_);
}

void OpenSearch::giveUp(Effects& fx) {
  expire();
  flush(fx);
}

SearchResult OpenSearch::result() {
  expire();
  SearchResult result;
  result.id = query_.id;
  result.files = mergeHits(knowledge_.hits());
  const auto missing = knowledge_.missing();
  asked_->count.raise(covered() + countMissing(missing, knowledge_.coverage()), mostPeers());
  result.searched = searched();
  result.members = asked_->count.members();
  result.beyond = asked_->count.countBeyond(knowledge_.coverage());
  result.indexing = knowledge_.indexing();
  result.moreHits = knowledge_.moreHits();
  result.moreOf = knowledge_.moreByHolder();
  nameMissing(branches_.believed(scene_.links, knowledge_), knowledge_.coverage(), result);
  return result;
}

// --- to the asker

bool OpenSearch::progress(TimePoint now, Effects& fx) {
  if (isMine()) return show(now, fx);
  if (isOrphan()) {
    knowledge_.forgetNews();
  } else {
    sendNews(now, fx);
  }
  return false;
}

void OpenSearch::sendNews(TimePoint now, Effects& fx) {
  const bool complete = isComplete();
  const bool hasNews = knowledge_.hasNews();
  if (knowledge_.hasNewHits() || complete != saidDone_ || (complete && hasNews)) {
    flush(fx);
  } else if (hasNews && !flushAt_) {
    flushAt_ = now + limits::kCoverageDelay;
  }
}

void OpenSearch::flush(Effects& fx) {
  const auto link = scene_.links.find(*upstream_);
  const bool countHits = link != scene_.links.end() && link->second.isCongested();
  std::vector<wire::Answer> answers;
  saidDone_ = isComplete();
  flushAt_.reset();
  knowledge_.takeAnswers(query_.id, saidDone_, countHits, answers);
  for (auto& answer : answers) fx.send(*upstream_, std::move(answer));
}

// A search that this peer asked: reports news to the shell, and ends when no answer is expected.
bool OpenSearch::show(TimePoint now, Effects& fx) {
  const bool hasNews = knowledge_.hasNews();
  auto& count = asked_->count;
  const bool isComplete = this->isComplete();
  count.raise(covered(), mostPeers());
  SearchUpdate update;
  update.id = query_.id;
  update.hits = knowledge_.takeNewHits();
  update.searched = searched();
  update.members = count.members();
  bool ended = isExpired_;
  if (!isComplete) {
    asked_->graceEnds.reset();
  } else if (update.searched >= count.members() && !count.isOpen()) {
    ended = true;
  } else if (!asked_->graceEnds) {
    asked_->graceEnds = now + limits::kSearchGrace;
  } else {
    ended = ended || now >= *asked_->graceEnds;
  }
  if (ended) update.result = result();
  if (hasNews || ended) fx.searchUpdates.push_back(std::move(update));
  return ended;
}

// --- time

TimePoint OpenSearch::forgetAt() const {
  return shareEnds_ + limits::kSearchLinger;
}

TimePoint OpenSearch::deadline() const {
  auto due = isMine() ? shareEnds_ : forgetAt();
  if (!isExpired_) due = std::min(due, shareEnds_);
  if (flushAt_) due = std::min(due, *flushAt_);
  if (asked_ && asked_->graceEnds) due = std::min(due, *asked_->graceEnds);
  return std::min(due, branches_.deadline());
}

bool OpenSearch::tick(TimePoint now, Effects& fx) {
  branches_.tick(now, knowledge_);
  if (now >= shareEnds_) expire();
  if (isMine()) return progress(now, fx);
  if (now >= forgetAt()) return true;
  if (flushAt_ && now >= *flushAt_ && upstream_) flush(fx);
  return progress(now, fx);
}

}  // namespace espalier::peer
