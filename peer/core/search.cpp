#include "peer/core/search.h"

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/wire/file_form.h"
#include "peer/core/pattern.h"

namespace espalier::peer {
namespace {

using std::chrono::milliseconds;

// Whether the next peer would take it: one bad hit of ours must not cost a link.
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
  // All hops together keep half of the time at most, so that the far end of a long line has some,
  // too.
  const auto share = std::min(budget / 10, budget / (hopsLeft + 1));
  return std::max<milliseconds>(budget - std::min<milliseconds>(limits::kSearchHop, share),
                                limits::kSearchBudgetLeast);
}

// --- links

void Searches::linkUp(const TreeLink& treeLink, TimePoint now, Effects& fx) {
  auto& link = links_[treeLink.connection];
  link.peer = treeLink.peer.id;
  link.order = treeLink.peer.order;
  link.tokens = limits::kQueryBurst;
  link.refilled = now;
  link.steps = limits::kMatchStepsPerSecond;
  link.stepsRefilled = now;
  for (auto at = open_.begin(); at != open_.end();) {
    auto& search = at->second;
    std::erase_if(search.lost, [&](const auto& lost) { return lost.missing.id == link.peer; });
    relay(search, now, fx);
    const auto current = at++;
    if (progress(search, now, fx)) forget(current);
  }
}

void Searches::linkDown(ConnectionId id, TimePoint now, Effects& fx) {
  const auto link = links_.find(id);
  if (link == links_.end()) return;
  const auto behind = link->second.behind;
  // Before the loop, in which searches may go to all links that there are.
  links_.erase(link);
  for (auto at = open_.begin(); at != open_.end();) {
    auto& search = at->second;
    search.offers.erase(id);
    loseBranch(search, id, behind, now);
    if (search.upstream == id) loseUpstream(search, now, fx);
    const auto current = at++;
    if (progress(search, now, fx)) forget(current);
  }
}

void Searches::peersBehind(ConnectionId id, std::uint64_t count) {
  const auto link = links_.find(id);
  if (link != links_.end()) link->second.behind = std::min(count, limits::kMembers);
}

void Searches::congested(ConnectionId id) {
  const auto link = links_.find(id);
  if (link != links_.end()) link->second.isCongested = true;
}

void Searches::drained(ConnectionId id) {
  const auto link = links_.find(id);
  if (link != links_.end()) link->second.isCongested = false;
}

// --- this peer's own

void Searches::matched(const QueryId& id, std::vector<LocalHit> hits, std::uint64_t more,
                       bool stillIndexing, TimePoint now, Effects& fx) {
  const auto at = open_.find(id);
  if (at == open_.end() || at->second.matched) return;
  auto& search = at->second;
  search.matched = true;
  std::size_t sent = 0;
  for (auto& hit : hits) {
    wire::Hit full{std::move(hit.name), hit.sizeBytes, hit.root, self_.id,
                   self_.endpoint,      hit.partial};
    if (sent < limits::kHitsPerPeer && isSendable(full)) {
      search.knowledge.addHit(full);
      ++sent;
    } else {
      ++more;
    }
  }
  search.knowledge.addMore({self_.id, more});
  if (stillIndexing) search.knowledge.addIndexing(self_.id);
  search.knowledge.cover(self_.order);
  boundKeptHits(search);
  if (progress(search, now, fx)) forget(at);
}

Result<QueryId> Searches::ask(PatternKind kind, std::string_view text, std::uint64_t members,
                              JoinOrder newest, TimePoint now, Effects& fx) {
  const auto pattern = Pattern::compile(kind, text);
  if (!pattern) return pattern.error();
  if (!makeRoom(std::nullopt, fx)) {
    return Error{ErrorCode::failed, std::to_string(open_.size()) +
                                        " searches are going on here: try again when some ended"};
  }
  members = std::clamp<std::uint64_t>(members, 1, limits::kMembers);
  wire::Query query;
  query.id = randomFrom<QueryId>(random_);
  query.kind = kind;
  query.text = std::string(text);
  query.budget = searchBudget(members);
  query.asker = self_.id;
  query.hopsLeft = static_cast<std::uint32_t>(std::min(2 * members + 16, limits::kMembers));
  auto& search = open(query, std::nullopt, now, fx);
  search.isMine = true;
  search.members = members;
  search.newest = newest;
  relay(search, now, fx);
  return query.id;
}

std::optional<SearchResult> Searches::cancel(const QueryId& id) {
  const auto at = open_.find(id);
  if (at == open_.end() || !at->second.isMine) return std::nullopt;
  auto result = resultOf(at->second);
  forget(at);
  return result;
}

// --- time

void Searches::tick(TimePoint now, Effects& fx) {
  for (auto& [id, link] : links_) serveQueue(id, link, now, fx);
  std::vector<QueryId> due;
  for (const auto& [at, id] : agenda_) {
    if (at > now) break;
    due.push_back(id);
  }
  for (const auto& id : due) {
    const auto at = open_.find(id);
    if (at != open_.end() && tickOpen(at->second, now, fx)) forget(at);
  }
}

void Searches::schedule(OpenSearch& search) {
  const auto at = search.deadline();
  if (at == search.scheduledAt) return;
  agenda_.erase({search.scheduledAt, search.query.id});
  agenda_.emplace(at, search.query.id);
  search.scheduledAt = at;
}

TimePoint Searches::deadline() const {
  auto due = agenda_.empty() ? kNever : agenda_.begin()->first;
  for (const auto& [id, link] : links_) {
    if (link.queue.empty()) continue;
    const auto seconds = std::max(0.0, 1 - link.tokens) / limits::kQueriesPerSecond;
    // A little late rather than a little early, which would find no token and come again.
    const auto wait = std::chrono::microseconds(static_cast<std::int64_t>(seconds * 1e6) + 1);
    due = std::min(due, link.refilled + wait);
  }
  return due;
}

// --- the table of open searches

// For one more search from `link` (none: our own). Evicts the oldest that is finished or orphaned;
// else the oldest of the link that has most, unless that is the very one that wants more: so who
// floods takes no room from others.
bool Searches::makeRoom(std::optional<ConnectionId> link, Effects& fx) {
  if (open_.size() < limits::kOpenQueries) return true;
  const auto older = [&](OpenMap::iterator a, OpenMap::iterator b) {
    return b == open_.end() || a->second.arrived < b->second.arrived;
  };
  auto finished = open_.end();
  std::map<std::optional<ConnectionId>, std::pair<std::size_t, OpenMap::iterator>> sources;
  for (auto at = open_.begin(); at != open_.end(); ++at) {
    const auto& search = at->second;
    if (!search.isMine && (search.saidDone || search.isOrphan()) && older(at, finished)) {
      finished = at;
    }
    auto& [count, oldest] = sources.try_emplace(search.upstream, 0, open_.end()).first->second;
    ++count;
    if (older(at, oldest)) oldest = at;
  }
  if (finished != open_.end()) {
    forget(finished);
    return true;
  }
  const auto most = std::max_element(
      sources.begin(), sources.end(),
      [](const auto& a, const auto& b) { return a.second.first < b.second.first; });
  if (!most->first || most->first == link) return false;
  const auto victim = most->second.second;
  expire(victim->second);
  flush(victim->second, fx);
  forget(victim);
  return true;
}

OpenSearch& Searches::open(const wire::Query& query, std::optional<ConnectionId> upstream,
                           TimePoint arrived, Effects& fx) {
  auto& search = open_[query.id];
  search.upstream = upstream;
  search.query = query;
  search.query.hopsLeft = std::min<std::uint32_t>(query.hopsLeft, limits::kMembers);
  search.arrived = arrived;
  search.shareEnds = arrived + std::clamp<milliseconds>(query.budget, limits::kSearchBudgetLeast,
                                                        limits::kSearchBudgetMost);
  schedule(search);
  fx.jobs.push_back(
      {query.id, query.kind, query.text, limits::kHitsPerPeer, upstream, search.shareEnds});
  return search;
}

void Searches::forget(OpenMap::iterator at) {
  keptBytes_ -= at->second.countedBytes;
  remember(at->first);
  agenda_.erase({at->second.scheduledAt, at->first});
  open_.erase(at);
}

void Searches::remember(const QueryId& id) {
  if (!remembered_.insert(id).second) return;
  rememberedOrder_.push_back(id);
  if (rememberedOrder_.size() > limits::kQueriesRemembered) {
    remembered_.erase(rememberedOrder_.front());
    rememberedOrder_.pop_front();
  }
}

}  // namespace espalier::peer
