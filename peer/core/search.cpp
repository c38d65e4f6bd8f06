#include "peer/core/search.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/base/limits.h"
#include "peer/core/search_hits.h"

namespace espalier::peer {
namespace {

using std::chrono::milliseconds;

// Between two recounts, so that numbers that change all the time cost little.
constexpr auto kRecountPause = milliseconds(20);

bool isPlausible(const wire::Query& query) {
  return !query.text.empty() && query.text.size() <= limits::kPatternBytes;
}

}  // namespace

// --- links

void Searches::linkUp(const TreeLink& link, TimePoint now, Effects& fx) {
  scene_.links.insert_or_assign(link.connection, SearchLink(link, now));
  for (auto at = table_.begin(); at != table_.end();) {
    const auto current = at++;
    current->second.search.linkUp(link.peer.id, now, fx);
    progress(current, now, fx);
  }
}

void Searches::linkDown(ConnectionId id, TimePoint now, Effects& fx) {
  const auto link = scene_.links.find(id);
  if (link == scene_.links.end()) return;
  const auto behind = link->second.behind();
  // Removed before the loop, because searches in it may be sent over all links.
  scene_.links.erase(link);
  for (auto at = table_.begin(); at != table_.end();) {
    const auto current = at++;
    current->second.search.linkDown(id, behind, now, fx);
    progress(current, now, fx);
  }
}

void Searches::peersBehind(ConnectionId id, std::uint64_t count) {
  const auto link = scene_.links.find(id);
  if (link == scene_.links.end()) return;
  hasGrown_ = hasGrown_ || count > link->second.behind();
  link->second.setBehind(count);
}

void Searches::confirmed(ConnectionId id, bool isConfirmed) {
  const auto link = scene_.links.find(id);
  if (link != scene_.links.end()) link->second.setConfirmed(isConfirmed);
}

void Searches::congested(ConnectionId id) {
  const auto link = scene_.links.find(id);
  if (link != scene_.links.end()) link->second.setCongested(true);
}

void Searches::drained(ConnectionId id) {
  const auto link = scene_.links.find(id);
  if (link != scene_.links.end()) link->second.setCongested(false);
}

// --- searches that this peer asks, and its answers

void Searches::matched(const QueryId& id, std::vector<LocalHit> hits, std::uint64_t more,
                       bool stillIndexing, TimePoint now, Effects& fx) {
  const auto at = table_.find(id);
  if (at == table_.end()) return;
  if (!at->second.search.matched(std::move(hits), more, stillIndexing)) return;
  if (table_.bound(at, fx)) progress(at, now, fx);
}

Result<QueryId> Searches::ask(PatternKind kind, std::string_view text, const MemberCount& count,
                              TimePoint now, Effects& fx) {
  const auto pattern = Pattern::compile(kind, text);
  if (!pattern) return pattern.error();
  meter_.count(now);
  const auto load = std::max(meter_.perSecond(now), 1u);
  if (!table_.makeRoom(std::nullopt, load, fx)) {
    return Error{ErrorCode::failed, std::to_string(table_.size()) +
                                        " searches are going on here: try again when some ended"};
  }
  wire::Query query;
  query.id = randomFrom<QueryId>(random_);
  query.kind = kind;
  query.text = std::string(text);
  query.budget = searchBudget(count.members());
  query.asker = scene_.self.id;
  query.load = load;
  query.hopsLeft = static_cast<std::uint32_t>(std::min(2 * count.members() + 16, limits::kMembers));
  const QueryId id = query.id;
  auto& search = open(std::move(query), std::nullopt, now, fx);
  search.ask(count);
  if (count.isOpen()) counting_.insert(id);
  search.relay(now, fx);
  return id;
}

std::optional<SearchResult> Searches::cancel(const QueryId& id) {
  const auto at = table_.find(id);
  if (at == table_.end() || !at->second.search.isMine()) return std::nullopt;
  auto result = at->second.search.result();
  table_.forget(at);
  return result;
}

bool Searches::mineAre(MemberCount::State state) {
  for (auto id = counting_.begin(); id != counting_.end();) {
    const auto at = table_.find(*id);
    const auto* count = at == table_.end() ? nullptr : at->second.search.count();
    if (count != nullptr && count->state() == state) return true;
    id = count == nullptr || !count->isOpen() ? counting_.erase(id) : std::next(id);
  }
  return false;
}

void Searches::membersAsked(std::uint64_t request) {
  for (const auto& id : counting_) {
    if (const auto at = table_.find(id); at != table_.end())
      at->second.search.count()->ask(request);
  }
}

void Searches::membersTold(const std::optional<wire::Members>& members, TimePoint now,
                           Effects& fx) {
  for (const auto& id : std::set(counting_)) {
    const auto at = table_.find(id);
    if (at == table_.end()) continue;
    at->second.search.count()->tell(members);
    progress(at, now, fx);
  }
}

OpenSearch& Searches::open(wire::Query&& query, std::optional<ConnectionId> upstream,
                           TimePoint arrived, Effects& fx) {
  auto& search = table_.add(scene_, std::move(query), upstream, arrived)->second.search;
  const auto& kept = search.query();
  fx.jobs.push_back({kept.id, kept.kind, kept.text, limits::kHitsPerPeer, upstream, kept.load,
                     search.shareEnds()});
  return search;
}

void Searches::progress(SearchTable::Place entry, TimePoint now, Effects& fx) {
  const bool ended = entry->second.search.progress(now, fx);
  table_.schedule(entry->second);
  if (ended) table_.forget(entry);
}

// --- messages

bool Searches::received(ConnectionId id, const wire::LinkMessage& message, TimePoint now,
                        Effects& fx) {
  const auto* query = std::get_if<wire::Query>(&message);
  const auto* answer = std::get_if<wire::Answer>(&message);
  const auto* lost = std::get_if<wire::Lost>(&message);
  if (query == nullptr && answer == nullptr && lost == nullptr) return false;
  const auto link = scene_.links.find(id);
  if (link == scene_.links.end()) return true;
  if (query != nullptr) {
    receivedQuery(id, link->second, *query, now, fx);
  } else if (answer != nullptr) {
    receivedAnswer(id, link->second, *answer, now, fx);
  } else if (const auto at = table_.find(lost->id); at != table_.end()) {
    at->second.search.lost(id, now, fx);
  }
  return true;
}

void Searches::receivedQuery(ConnectionId id, SearchLink& link, const wire::Query& query,
                             TimePoint now, Effects& fx) {
  if (!isPlausible(query)) return link.blame("sent a search with an impossible pattern", fx);
  if (const auto known = table_.find(query.id); known != table_.end()) {
    return receivedKnown(id, link, known, query, now, fx);
  }
  auto metered = query;
  metered.load = link.meter(query, now);
  if (link.mayServe(now)) return admit(id, link, std::move(metered), now, fx);
  if (!link.enqueue(metered, now, fx)) refuse(id, query, fx);
}

void Searches::admit(ConnectionId id, SearchLink& link, wire::Query&& query, TimePoint now,
                     Effects& fx) {
  if (table_.wasForgotten(query.id)) return fx.send(id, declineOf(query.id));
  if (!table_.makeRoom(id, query.load, fx)) {
    link.blame("sent a search while too many were open", fx);
    return refuse(id, query, fx);
  }
  open(std::move(query), id, now, fx).relay(now, fx);
}

// The query of a search that is known, after a heal, because of a cycle, or from a hostile peer.
void Searches::receivedKnown(ConnectionId id, SearchLink& link, SearchTable::Place known,
                             const wire::Query& query, TimePoint now, Effects& fx) {
  if (!known->second.search.offered(id, query, now, fx)) link.blame("repeated a search", fx);
  progress(known, now, fx);
}

void Searches::refuse(ConnectionId id, const wire::Query& query, Effects& fx) {
  auto answer = declineOf(query.id);
  wire::Missing missing{scene_.self.id, scene_.self.order, 0};
  for (const auto& [other, link] : scene_.links) {
    if (other != id) missing.below += link.behind();
  }
  missing.below = std::min(missing.below, limits::kMembers);
  answer.missing.push_back(std::move(missing));
  fx.send(id, std::move(answer));
}

void Searches::serveQueue(ConnectionId id, SearchLink& link, TimePoint now, Effects& fx) {
  while (auto next = link.nextServed(now)) {
    auto& query = next->query;
    // The query may have been received over another link while it was queued.
    if (const auto known = table_.find(query.id); known != table_.end()) {
      receivedKnown(id, link, known, query, now, fx);
      continue;
    }
    query.budget -= std::chrono::duration_cast<milliseconds>(now - next->arrived);
    if (query.budget < limits::kSearchBudgetLeast) {
      refuse(id, query, fx);
    } else {
      admit(id, link, std::move(query), now, fx);
    }
  }
  link.tellRefusals(fx);
}

void Searches::receivedAnswer(ConnectionId id, SearchLink& link, const wire::Answer& answer,
                              TimePoint now, Effects& fx) {
  const auto at = table_.find(answer.id);
  if (at == table_.end()) {
    if (!table_.wasForgotten(answer.id)) link.blame("answered a search that nobody asked", fx);
    return;
  }
  auto& search = at->second.search;
  if (search.upstream() == id) {
    // The neighbour answers, so this peer is its upstream. If both are upstream of each other, then
    // neither has a path to the asker.
    if (!answer.isDecline()) search.lost(id, now, fx);
    return;
  }
  auto* const branch = search.branches().everAsked(id);
  if (branch == nullptr) return link.blame("answered a search that it was not asked", fx);
  if (!answer.isDecline()) search.withdrawOffer(id);
  const auto absurd = std::any_of(answer.coverage.begin(), answer.coverage.end(),
                                  [](const auto& r) { return !Coverage::isPlausible(r); });
  if (absurd) link.blame("spoke for peers that cannot exist", fx);
  learnAnswer(scene_, search, id, link, *branch, answer, now, fx);
  if (table_.bound(at, fx)) progress(at, now, fx);
}

// --- time

void Searches::recount(TimePoint now, Effects& fx) {
  hasGrown_ = false;
  recountAt_ = now + kRecountPause;
  for (auto at = table_.begin(); at != table_.end();) {
    const auto current = at++;
    current->second.search.recount();
    progress(current, now, fx);
  }
}

// Sends what the outboxes allow, and ends the branches for which they had no room.
void Searches::sendWaiting(TimePoint now, Effects& fx) {
  for (auto& [id, link] : scene_.links) {
    while (const auto next = link.outbox().next(now)) {
      const auto at = table_.find(*next);
      if (at != table_.end() && at->second.search.sendWaiting(id, now, fx)) continue;
      link.outbox().giveBack(now);
    }
  }
  for (const auto& [link, query] : std::exchange(scene_.unsent, {})) {
    const auto at = table_.find(query);
    if (at == table_.end()) continue;
    at->second.search.unsent(link);
    progress(at, now, fx);
  }
}

void Searches::tick(TimePoint now, Effects& fx) {
  sendWaiting(now, fx);
  if (hasGrown_ && now >= recountAt_) recount(now, fx);
  for (auto& [id, link] : scene_.links) serveQueue(id, link, now, fx);
  for (const auto& id : table_.due(now)) {
    const auto at = table_.find(id);
    if (at == table_.end()) continue;
    if (at->second.search.tick(now, fx)) {
      table_.forget(at);
    } else {
      table_.schedule(at->second);
    }
  }
}

TimePoint Searches::deadline() const {
  if (!scene_.unsent.empty()) return TimePoint();  // at once
  auto due = table_.deadline();
  if (hasGrown_ && table_.size() > 0) due = std::min(due, recountAt_);
  for (const auto& [id, link] : scene_.links) due = std::min(due, link.deadline());
  return due;
}

}  // namespace espalier::peer
