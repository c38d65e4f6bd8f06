// The network around this peer: topology, links, members. Thread rule: see search_service.h.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/command/network_commands.h"

namespace espalier::peer::shell {

enum class Role { parent, child };
struct LinkedPeer {
  PeerId id;
  Role role = Role::child;
};

class TopologyService : public command::NetworkService {
 public:
  virtual Result<std::vector<LinkedPeer>> links() = 0;

  // Returns once the network has had `total` members. Calls `onCount` with the number of members,
  // and again when it changes.
  using OnCount = std::function<void(std::uint64_t members)>;
  virtual Result<void> awaitMembers(std::uint64_t total, std::stop_token stop,
                                    const OnCount& onCount) = 0;

  // Ids of the last topology, for completion. Does not wait for the network.
  virtual std::vector<std::string> knownPeers(const std::string& prefix) = 0;
};

}  // namespace espalier::peer::shell
