#include "metaserver/core/cluster/election.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <string>
#include <tuple>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "topo/address_index.h"

namespace espalier::metaserver::cluster {
namespace {

bool isNamedBefore(const Candidate& a, const Candidate& b) {
  return std::tie(a.name, a.number) < std::tie(b.name, b.number);
}

bool isOlder(const Candidate& a, const Candidate& b) {
  if (a.started != b.started) return a.started < b.started;
  return isNamedBefore(a, b);
}

bool hasLowerAddress(const Candidate& a, const Candidate& b) {
  const auto keyOf = [](const Candidate& one) {
    const auto key = topo::AddressKey::of(one.address);
    const bool isName = key.family == topo::AddressKey::Family::name;
    return std::make_tuple(key.family, key.high, key.low, isName ? one.address.host : "",
                           one.address.port);
  };
  const auto keyA = keyOf(a);
  const auto keyB = keyOf(b);
  return keyA != keyB ? keyA < keyB : isNamedBefore(a, b);
}

bool hasPriority(const Candidate& a, const Candidate& b) {
  return a.priority != b.priority ? a.priority > b.priority : isOlder(a, b);
}

bool hasMorePeers(const Candidate& a, const Candidate& b) {
  return a.peers != b.peers ? a.peers > b.peers : isOlder(a, b);
}

struct Row {
  ElectionRule rule;
  std::string_view name;
  bool decidesVacanciesOnly;
  bool (*ranksBefore)(const Candidate&, const Candidate&);  // a total order
};

// A rule is a line here, and an enumerator.
constexpr std::array kRules = {
    Row{ElectionRule::oldest, "oldest", false, isOlder},
    Row{ElectionRule::address, "address", false, hasLowerAddress},
    Row{ElectionRule::priority, "priority", false, hasPriority},
    Row{ElectionRule::mostPeers, "most-peers", true, hasMorePeers},
};

const Row& rowOf(ElectionRule rule) {
  for (const auto& row : kRules) {
    if (row.rule == rule) return row;
  }
  return kRules.front();
}

Result<std::uint32_t> parsePriority(std::string_view digits) {
  std::uint32_t priority = 0;
  const auto end = digits.data() + digits.size();
  const auto [rest, code] = std::from_chars(digits.data(), end, priority);
  if (code == std::errc{} && rest == end && priority <= limits::kServerPriority) return priority;
  return Error{ErrorCode::usage, fmt::format("\"{}\" is no priority: 0 to {}", escaped(digits),
                                             limits::kServerPriority)};
}

}  // namespace

Result<ElectionChoice> parseRule(std::string_view text) {
  constexpr std::string_view kWithPriority = "priority:";
  if (text.starts_with(kWithPriority)) {
    const auto priority = parsePriority(text.substr(kWithPriority.size()));
    if (!priority) return priority.error();
    return ElectionChoice{ElectionRule::priority, *priority};
  }
  std::string names;
  for (const auto& row : kRules) {
    if (text == row.name) return ElectionChoice{row.rule};
    names += names.empty() ? "" : ", ";
    names += row.name;
  }
  return Error{ErrorCode::usage,
               fmt::format("\"{}\" is no election rule: {} (or priority:N)", escaped(text), names)};
}

std::string_view ruleName(ElectionRule rule) {
  return rowOf(rule).name;
}

Candidate candidateOf(const wire::ServerState& state) {
  return {state.name,     state.number, state.address, state.started,
          state.priority, state.peers,  state.drains,  state.appointed};
}

const Candidate* best(ElectionRule rule, std::span<const Candidate> candidates,
                      std::optional<ServerNumber> sitting) {
  if (candidates.size() < 2) return nullptr;
  const Row& row = rowOf(rule);
  const Candidate* first = nullptr;
  for (const auto& one : candidates) {
    if (one.drains) continue;
    if (one.number == sitting && (one.appointed || row.decidesVacanciesOnly)) return &one;
    if (!first || row.ranksBefore(one, *first)) first = &one;
  }
  return first;
}

}  // namespace espalier::metaserver::cluster
