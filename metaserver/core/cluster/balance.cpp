#include "metaserver/core/cluster/balance.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <tuple>
#include <vector>

#include "common/base/text.h"
#include "topo/address_index.h"

namespace espalier::metaserver::cluster {
namespace {

constexpr std::uint64_t kNearestMore = 50;
constexpr double kNearestTimes = 1.25;

struct Row {
  BalanceRule rule;
  std::string_view name;
};

constexpr std::array kRules = {
    Row{BalanceRule::leastConnections, "least-connections"},
    Row{BalanceRule::roundRobin, "round-robin"},
    Row{BalanceRule::nearest, "nearest"},
};

using Servers = std::vector<const wire::ServerState*>;

auto ties(const wire::ServerState* state) {
  return std::tie(state->address.port, state->name);
}

const wire::ServerState* emptiest(const Servers& servers) {
  return *std::min_element(servers.begin(), servers.end(), [](const auto* a, const auto* b) {
    return a->peers != b->peers ? a->peers < b->peers : ties(a) < ties(b);
  });
}

const wire::ServerState* nearest(const Servers& servers, std::string_view host) {
  std::uint64_t all = 0;
  for (const auto* state : servers) all += state->peers;
  const double mean = static_cast<double>(all) / static_cast<double>(servers.size());
  const std::uint64_t least = emptiest(servers)->peers;
  const auto key = topo::AddressKey::of({std::string(host), 1});
  const wire::ServerState* first = nullptr;
  unsigned firstBits = 0;
  for (const auto* state : servers) {
    const bool isCrowded = state->peers >= least + kNearestMore &&
                           static_cast<double>(state->peers) >= kNearestTimes * mean;
    if (isCrowded) continue;
    const unsigned bits = topo::sharedAddressBits(key, topo::AddressKey::of(state->address));
    if (!first || bits > firstBits || (bits == firstBits && ties(state) < ties(first))) {
      first = state;
      firstBits = bits;
    }
  }
  return first;
}

}  // namespace

Result<BalanceRule> parseBalance(std::string_view text) {
  std::string names;
  for (const auto& row : kRules) {
    if (text == row.name) return row.rule;
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  return Error{ErrorCode::usage,
               fmt::format("\"{}\" is no way to balance: {}", escaped(text), names)};
}

std::string_view balanceName(BalanceRule rule) {
  return std::find_if(kRules.begin(), kRules.end(),
                      [&](const Row& row) { return row.rule == rule; })
      ->name;
}

const wire::ServerState* chooseHome(BalanceRule rule, std::span<const wire::ServerState> servers,
                                    std::string_view host, std::uint64_t turn) {
  Servers open;
  for (const auto& state : servers) {
    if (state.room > 0) open.push_back(&state);
  }
  if (open.empty()) return nullptr;
  if (rule == BalanceRule::leastConnections) return emptiest(open);
  if (rule == BalanceRule::nearest) return nearest(open, host);
  std::sort(open.begin(), open.end(),
            [](const auto* a, const auto* b) { return a->name < b->name; });
  return open[turn % open.size()];
}

}  // namespace espalier::metaserver::cluster
