// What links send: queries, which may be too many, answers, which may be lies, and lost ways.
#include <algorithm>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "peer/core/search.h"

namespace espalier::peer {
namespace {

using std::chrono::milliseconds;

wire::Answer declineOf(const QueryId& id) {
  wire::Answer answer;
  answer.id = id;
  answer.done = true;
  return answer;
}

bool isPlausible(const wire::Query& query) {
  return !query.text.empty() && query.text.size() <= limits::kPatternBytes;
}

}  // namespace

void Searches::tell(Link& link, const std::string& what, Effects& fx) {
  if (link.told.insert(what).second) {
    fx.warn(escaped(link.peer.text()) + " " + what + ": ignored");
  }
}

bool Searches::received(ConnectionId id, const wire::LinkMessage& message, TimePoint now,
                        Effects& fx) {
  const auto* query = std::get_if<wire::Query>(&message);
  const auto* answer = std::get_if<wire::Answer>(&message);
  const auto* lost = std::get_if<wire::Lost>(&message);
  if (query == nullptr && answer == nullptr && lost == nullptr) return false;
  const auto link = links_.find(id);
  if (link == links_.end()) return true;
  if (query != nullptr) receivedQuery(id, link->second, *query, now, fx);
  if (answer != nullptr) receivedAnswer(id, link->second, *answer, now, fx);
  if (lost != nullptr) receivedLost(id, *lost, now, fx);
  return true;
}

void Searches::receivedQuery(ConnectionId id, Link& link, const wire::Query& query, TimePoint now,
                             Effects& fx) {
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
    fx.warn(escaped(link.peer.text()) +
            " sends more searches than this peer answers: some are refused");
  }
  refuse(id, query, fx);
}

void Searches::admit(ConnectionId id, Link& link, const wire::Query& query, TimePoint now,
                     Effects& fx) {
  if (remembered_.contains(query.id)) {
    fx.send(id, declineOf(query.id));
    return;
  }
  if (!makeRoom(id, fx)) {
    tell(link, "sent a search while too many were open", fx);
    refuse(id, query, fx);
    return;
  }
  auto& search = open(query, id, now, fx);
  relay(search, now, fx);
}

// Known: a heal, a loop, or somebody who makes things up.
void Searches::receivedKnown(ConnectionId id, Link& link, OpenSearch& search,
                             const wire::Query& query, TimePoint now, Effects& fx) {
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
  fx.send(id, declineOf(query.id));
}

void Searches::refuse(ConnectionId id, const wire::Query& query, Effects& fx) {
  auto answer = declineOf(query.id);
  wire::Missing missing{self_.id, self_.order, 0};
  for (const auto& [other, link] : links_) {
    if (other != id) missing.below += link.behind;
  }
  missing.below = std::min(missing.below, limits::kMembers);
  answer.missing.push_back(std::move(missing));
  fx.send(id, std::move(answer));
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

void Searches::serveQueue(ConnectionId id, Link& link, TimePoint now, Effects& fx) {
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
    fx.warn(escaped(link.peer.text()) + " sends fewer searches again; " +
            counted(link.refused, "was", "were") + " refused");
    link.refused = 0;
  }
}

void Searches::receivedAnswer(ConnectionId id, Link& link, const wire::Answer& answer,
                              TimePoint now, Effects& fx) {
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
  learn(search, link, branch->second, answer, now, fx);
  boundKeptHits(search);
  if (progress(search, now, fx)) forget(at);
}

void Searches::receivedLost(ConnectionId id, const wire::Lost& lost, TimePoint now, Effects& fx) {
  const auto at = open_.find(lost.id);
  if (at == open_.end()) return;
  auto& search = at->second;
  search.offers.erase(id);
  if (search.upstream == id) loseUpstream(search, now, fx);
}

}  // namespace espalier::peer
