// What a metaserver remembers of its network across a restart: the network's id, the next order of
// joining, and whom to wait for. One text file in the state folder, replaced whole by rename:
//
//   espalier-network 1 <network, 32 hex digits> <next order>
//   <order> <host:port> <instance key, 32 hex digits> <id>        a line a peer, by order
//
// The network's id is durable before anybody is admitted; the peers are soft (the living tell them
// again), so the file may be a moment old.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "metaserver/core/registry.h"

namespace espalier::metaserver::shell {

struct State {
  wire::NetworkId network;
  JoinOrder nextOrder{1};
  std::vector<Remembered> members;

  bool operator==(const State&) const = default;
};

std::string formatState(const State& state);
// Errors (code `configuration`) begin with "line N: ".
Result<State> parseState(std::string_view text);

}  // namespace espalier::metaserver::shell
