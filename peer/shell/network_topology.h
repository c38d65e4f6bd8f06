// The topology service of a peer. Snapshots and the number of members come from the metaserver,
// this peer's links from its own tree. It works before this peer has joined, too: then it connects
// to the metaserver without joining. Thread-safe. Called by command threads and by Joiner.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "peer/shell/runtime.h"
#include "peer/shell/topology_service.h"
#include "peer/shell/topology_store.h"

namespace espalier::peer::shell {

class NetworkTopology final : public TopologyService {
 public:
  NetworkTopology(Runtime& runtime, TopologyStore& store) : runtime_(runtime), store_(store) {}

  Result<command::Topology> topology(std::stop_token stop) override;
  Result<std::string> topologyDot(std::stop_token stop) override;
  Result<command::KillPlan> whatIfKilled(const PeerId& id, std::stop_token stop) override;
  Result<std::vector<LinkedPeer>> links() override;
  Result<void> awaitMembers(std::uint64_t total, std::stop_token stop,
                            const OnCount& onCount) override;
  std::vector<std::string> knownPeers(const std::string& prefix) override;

 private:
  Result<void> connectAsGuest(const std::stop_token& stop);

  Runtime& runtime_;
  TopologyStore& store_;
};

}  // namespace espalier::peer::shell
