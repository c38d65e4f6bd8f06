// To which metaserver a peer is handed on: by one that holds no peers itself (an entry), is full,
// or is about to end. A pure function over the metaservers that can be reached.
//
// Rules:
//
//   least-connections   the one with the fewest peers
//   round-robin         one after the other, by name
//   nearest             the one whose address shares the longest prefix with the peer's. It is
//                       passed over if it has 50 peers more than the emptiest one, and 1.25 times
//                       as many as the mean
//
// Those without room are left out. Ties go to the lower port, then to the lesser name.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "common/base/result.h"
#include "common/wire/cluster.h"

namespace espalier::metaserver::cluster {

enum class BalanceRule : std::uint8_t { leastConnections, roundRobin, nearest };

// Errors have the code `usage`.
Result<BalanceRule> parseBalance(std::string_view text);
std::string_view balanceName(BalanceRule rule);

// `servers` in any order; `host` is the peer's address; `turn` counts the peers that were handed
// on. Null: nobody has room.
const wire::ServerState* chooseHome(BalanceRule rule, std::span<const wire::ServerState> servers,
                                    std::string_view host, std::uint64_t turn);

}  // namespace espalier::metaserver::cluster
