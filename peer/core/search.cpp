#include "peer/core/search.h"

#include <algorithm>
#include <cmath>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "peer/core/pattern.h"

namespace espalier::peer {
namespace {

using std::chrono::milliseconds;

wire::Answer declineOf(const QueryId& id) {
  wire::Answer answer;
  answer.id = id;
  answer.done = true;
  return answer;
}

// Whether the next peer would take it: one bad hit of ours must not cost a link.
bool isSendable(const wire::Hit& hit) {
  return !hit.name.empty() && hit.name.size() <= limits::kPathBytes &&
         hit.name.find('\0') == std::string::npos && hit.sizeBytes <= limits::kFileBytes &&
         !hit.endpoint.host.empty() && hit.endpoint.port != 0;
}

bool isPlausible(const wire::Query& query) {
  return !query.text.empty() && query.text.size() <= limits::kPatternBytes;
}

}  // namespace

milliseconds searchBudget(std::uint64_t members) {
  const auto bounded = static_cast<std::int64_t>(std::min(members, limits::kMembers));
  return std::min<milliseconds>(limits::kSearchBudget + limits::kSearchBudgetMember * bounded,
                                limits::kSearchBudgetMost);
}

milliseconds budgetBehind(milliseconds budget) {
  return std::max<milliseconds>(budget - std::min<milliseconds>(limits::kSearchHop, budget / 50),
                                limits::kSearchBudgetLeast);
}

Searches::Searches(PeerId self, Endpoint endpoint, JoinOrder order, Random& random)
    : self_(std::move(self)), endpoint_(std::move(endpoint)), order_(order), random_(random) {}

void Searches::setSelf(Endpoint endpoint, JoinOrder order) {
  endpoint_ = std::move(endpoint);
  order_ = order;
}

// --- links

void Searches::linkUp(ConnectionId id, PeerId peer, JoinOrder order, TimePoint now,
                      SearchEffects& fx) {
  auto& link = links_[id];
  link.peer = std::move(peer);
  link.order = order;
  link.tokens = limits::kQueryBurst;
  link.refilled = now;
  for (auto at = open_.begin(); at != open_.end();) {
    auto& search = at->second;
    std::erase_if(search.lost, [&](const auto& lost) { return lost.missing.id == link.peer; });
    relay(search, now, fx);
    const auto current = at++;
    if (progress(search, now, fx)) forget(current);
  }
}

void Searches::linkDown(ConnectionId id, TimePoint now, SearchEffects& fx) {
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

void Searches::setPeersBehind(ConnectionId id, std::uint64_t count) {
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

void Searches::tell(Link& link, const std::string& what, SearchEffects& fx) {
  if (link.told.insert(what).second) {
    fx.notices.push_back(escaped(link.peer.text()) + " " + what + ": ignored");
  }
}

// --- what links send

void Searches::received(ConnectionId id, const wire::SearchMessage& message, TimePoint now,
                        SearchEffects& fx) {
  const auto link = links_.find(id);
  if (link == links_.end()) return;
  if (const auto* query = std::get_if<wire::Query>(&message)) {
    receivedQuery(id, link->second, *query, now, fx);
  } else if (const auto* answer = std::get_if<wire::Answer>(&message)) {
    receivedAnswer(id, link->second, *answer, now, fx);
  } else {
    receivedLost(id, std::get<wire::Lost>(message), now, fx);
  }
}

void Searches::receivedQuery(ConnectionId id, Link& link, const wire::Query& query, TimePoint now,
                             SearchEffects& fx) {
  if (!isPlausible(query)) {
    tell(link, "sent a search with an impossible pattern", fx);
    return;
  }
  const auto known = open_.find(query.id);
  if (known != open_.end()) {
    receivedKnown(id, link, known->second, query, now, fx);
    if (progress(known->second, now, fx)) forget(known);
    return;
  }
  // Behind a queue everybody waits, so that nobody overtakes.
  if (link.queue.empty() && takeToken(link, now)) {
    admit(id, link, query, now, fx);
    return;
  }
  if (link.queue.size() < limits::kQueriesQueued) {
    link.queue.push_back({query, now});
    return;
  }
  if (link.refused++ == 0) {
    fx.notices.push_back(escaped(link.peer.text()) +
                         " sends more searches than this peer answers: some are refused");
  }
  refuse(id, query, fx);
}

void Searches::admit(ConnectionId id, Link& link, const wire::Query& query, TimePoint now,
                     SearchEffects& fx) {
  if (remembered_.contains(query.id)) {
    fx.sends.emplace_back(id, declineOf(query.id));
    return;
  }
  if (!makeRoom(id, fx)) {
    tell(link, "sent a search while too many were open", fx);
    refuse(id, query, fx);
    return;
  }
  auto& search = open(query, now, fx);
  search.upstream = id;
  relay(search, now, fx);
}

// Known: a heal, a loop, or somebody who makes things up.
void Searches::receivedKnown(ConnectionId id, Link& link, OpenSearch& search,
                             const wire::Query& query, TimePoint now, SearchEffects& fx) {
  if (search.upstream == id || search.offers.contains(id)) {
    tell(link, "repeated a search", fx);
    return;
  }
  const SearchOffer offer{now + std::clamp<milliseconds>(query.budget, limits::kSearchBudgetLeast,
                                                         limits::kSearchBudgetMost),
                          query.hopsLeft};
  if (search.isOrphan()) {
    adopt(search, id, offer, now, fx);
    return;
  }
  search.offers.emplace(id, offer);
  fx.sends.emplace_back(id, declineOf(query.id));
}

void Searches::refuse(ConnectionId id, const wire::Query& query, SearchEffects& fx) {
  auto answer = declineOf(query.id);
  wire::Missing missing{self_, order_, 0};
  for (const auto& [other, link] : links_) {
    if (other != id) missing.below += link.behind;
  }
  missing.below = std::min(missing.below, limits::kMembers);
  answer.missing.push_back(std::move(missing));
  fx.sends.emplace_back(id, std::move(answer));
}

bool Searches::takeToken(Link& link, TimePoint now) {
  const std::chrono::duration<double> passed = std::max(now - link.refilled, Duration::zero());
  link.tokens =
      std::min(limits::kQueryBurst, link.tokens + passed.count() * limits::kQueriesPerSecond);
  link.refilled = std::max(link.refilled, now);
  if (link.tokens < 1) return false;
  link.tokens -= 1;
  return true;
}

void Searches::serveQueue(ConnectionId id, Link& link, TimePoint now, SearchEffects& fx) {
  while (!link.queue.empty() && takeToken(link, now)) {
    auto [query, arrived] = std::move(link.queue.front());
    link.queue.pop_front();
    // It may have come over another link while it waited.
    const auto known = open_.find(query.id);
    if (known != open_.end()) {
      receivedKnown(id, link, known->second, query, now, fx);
      if (progress(known->second, now, fx)) forget(known);
      continue;
    }
    query.budget -= std::chrono::duration_cast<milliseconds>(now - arrived);
    if (query.budget < limits::kSearchBudgetLeast) {
      refuse(id, query, fx);
    } else {
      admit(id, link, query, now, fx);
    }
  }
  if (link.queue.empty() && link.refused > 0) {
    fx.notices.push_back(escaped(link.peer.text()) + " sends fewer searches again; " +
                         counted(link.refused, "was", "were") + " refused");
    link.refused = 0;
  }
}

void Searches::receivedAnswer(ConnectionId id, Link& link, const wire::Answer& answer,
                              TimePoint now, SearchEffects& fx) {
  const auto at = open_.find(answer.id);
  if (at == open_.end()) {
    if (!remembered_.contains(answer.id)) tell(link, "answered a search that nobody asked", fx);
    return;
  }
  auto& search = at->second;
  if (search.upstream == id) {
    // Whoever answers takes us for its upstream: of two that adopted each other neither has a way
    // to the asker.
    if (!answer.isDecline()) loseUpstream(search, now, fx);
    return;
  }
  const auto branch = search.branches.find(id);
  if (branch == search.branches.end() || !branch->second.everAsked) {
    tell(link, "answered a search that it was not asked", fx);
    return;
  }
  if (!answer.isDecline()) search.offers.erase(id);
  const auto absurd = std::any_of(answer.coverage.begin(), answer.coverage.end(),
                                  [](const auto& r) { return !Coverage::isPlausible(r); });
  if (absurd) tell(link, "spoke for peers that cannot exist", fx);
  learn(search, branch->second, answer);
  boundKeptHits(search);
  if (progress(search, now, fx)) forget(at);
}

void Searches::learn(OpenSearch& search, SearchBranch& branch, const wire::Answer& answer) {
  auto& knowledge = search.knowledge;
  for (const auto& hit : answer.hits) {
    // What this peer shares it says itself.
    if (hit.holder != self_) knowledge.addHit(hit);
  }
  for (const auto& more : answer.more) {
    if (more.holder != self_) knowledge.addMore(more);
  }
  for (const auto& peer : answer.indexing) {
    if (peer != self_) knowledge.addIndexing(peer);
  }
  for (const auto& missing : answer.missing) {
    if (missing.id != self_) knowledge.addMissing(missing);
  }
  branch.heard += knowledge.cover(answer.coverage);
  branch.done = answer.done;
}

void Searches::receivedLost(ConnectionId id, const wire::Lost& lost, TimePoint now,
                            SearchEffects& fx) {
  const auto at = open_.find(lost.id);
  if (at == open_.end()) return;
  auto& search = at->second;
  search.offers.erase(id);
  if (search.upstream == id) loseUpstream(search, now, fx);
}

// --- this peer's own

void Searches::matched(const QueryId& id, std::vector<LocalHit> hits, std::uint64_t more,
                       bool stillIndexing, TimePoint now, SearchEffects& fx) {
  const auto at = open_.find(id);
  if (at == open_.end() || at->second.matched) return;
  auto& search = at->second;
  search.matched = true;
  std::size_t sent = 0;
  for (auto& hit : hits) {
    wire::Hit full{std::move(hit.name), hit.sizeBytes, hit.root, self_, endpoint_};
    if (sent < limits::kHitsPerPeer && isSendable(full)) {
      search.knowledge.addHit(full);
      ++sent;
    } else {
      ++more;
    }
  }
  search.knowledge.addMore({self_, more});
  if (stillIndexing) search.knowledge.addIndexing(self_);
  search.knowledge.cover(order_);
  boundKeptHits(search);
  if (progress(search, now, fx)) forget(at);
}

Result<QueryId> Searches::ask(PatternKind kind, std::string_view text, std::uint64_t members,
                              JoinOrder newest, TimePoint now, SearchEffects& fx) {
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
  query.asker = self_;
  query.hopsLeft = static_cast<std::uint32_t>(std::min(2 * members + 16, limits::kMembers));
  auto& search = open(query, now, fx);
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

void Searches::tick(TimePoint now, SearchEffects& fx) {
  for (auto& [id, link] : links_) serveQueue(id, link, now, fx);
  for (auto at = open_.begin(); at != open_.end();) {
    const auto current = at++;
    if (tickOpen(current->second, now, fx)) forget(current);
  }
}

TimePoint Searches::deadline() const {
  auto due = kNever;
  for (const auto& [id, link] : links_) {
    if (link.queue.empty()) continue;
    const auto seconds = std::max(0.0, 1 - link.tokens) / limits::kQueriesPerSecond;
    // A little late rather than a little early, which would find no token and come again.
    const auto wait = std::chrono::microseconds(static_cast<std::int64_t>(seconds * 1e6) + 1);
    due = std::min(due, link.refilled + wait);
  }
  for (const auto& [id, search] : open_) due = std::min(due, search.deadline());
  return due;
}

// --- the table of open searches

// For one more search from `link` (none: our own). Evicts the oldest that is finished or orphaned;
// else the oldest of the link that has most, unless that is the very one that wants more: so who
// floods takes no room from others.
bool Searches::makeRoom(std::optional<ConnectionId> link, SearchEffects& fx) {
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

OpenSearch& Searches::open(const wire::Query& query, TimePoint arrived, SearchEffects& fx) {
  auto& search = open_[query.id];
  search.query = query;
  search.query.hopsLeft = std::min<std::uint32_t>(query.hopsLeft, limits::kMembers);
  search.arrived = arrived;
  search.shareEnds = arrived + std::clamp<milliseconds>(query.budget, limits::kSearchBudgetLeast,
                                                        limits::kSearchBudgetMost);
  fx.jobs.push_back({query.id, query.kind, query.text, limits::kHitsPerPeer});
  return search;
}

void Searches::forget(OpenMap::iterator at) {
  keptBytes_ -= at->second.countedBytes;
  remember(at->first);
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
