// The election: which metaserver of a cluster is the master. A pure function over the metaservers
// that can reach each other, so all that have the same states elect the same one.
//
//   vacant --the best by the rule--> sitting --dead, drains, or (not most-peers) a better one--> …
//                                      |
//                                      +-- appointed: only death and draining end it
//
// Rules:
//
//   oldest       the one that was started first
//   address      the lowest address: IPv4, then IPv6 (both as numbers), then names; then the port
//   priority     the highest priority, then as oldest
//   most-peers   the one with the most peers, then as oldest. The number of peers moves all the
//                time, so this rule decides vacancies only: a sitting master stays.
//
// Ties go to the lesser name, then to the lesser number. Both are unique in a cluster, so a rule is
// a total order. Fewer than two metaservers have no master: who is alone decides for itself. One
// that drains counts there, but is no candidate.
//
// The time of start is a wall clock's: a metaserver whose clock is wrong is ranked wrongly, but at
// all others alike. No I/O, no state. O(candidates).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/wire/cluster.h"

namespace espalier::metaserver::cluster {

enum class ElectionRule : std::uint8_t { oldest, address, priority, mostPeers };

// What a user chose: RULE, or "priority:N" with the metaserver's own priority.
struct ElectionChoice {
  ElectionRule rule = ElectionRule::oldest;
  std::uint32_t priority = 0;  // at most limits::kServerPriority

  bool operator==(const ElectionChoice&) const = default;
};

// Errors have the code `usage`.
Result<ElectionChoice> parseRule(std::string_view text);
std::string_view ruleName(ElectionRule rule);

struct Candidate {
  ServerName name;
  ServerNumber number{};
  Endpoint address;
  std::chrono::milliseconds started{};
  std::uint32_t priority = 0;
  std::uint32_t peers = 0;
  bool drains = false;
  bool appointed = false;  // counts for the sitting master only: the next vacancy ends it
};

Candidate candidateOf(const wire::ServerState& state);

// The master. `candidates` are all metaservers that can reach each other, in any order; `sitting`
// is the master until now. None at a vacancy, and none where two networks merge. Null: no master.
// The result is borrowed from `candidates`.
const Candidate* best(ElectionRule rule, std::span<const Candidate> candidates,
                      std::optional<ServerNumber> sitting);

}  // namespace espalier::metaserver::cluster
