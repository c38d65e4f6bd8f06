// Questions to the metaserver, from threads that can wait for the answer.
//
// Thread-safe; never called from the loop's thread.
#pragma once

#include <optional>
#include <stop_token>

#include "common/base/result.h"
#include "common/wire/registry.h"
#include "peer/shell/network.h"

namespace espalier::peer::shell {

class MetaserverClient {
 public:
  explicit MetaserverClient(Network& network) : network_(network) {}

  // Blocks until the answer is there. `unavailable` while the metaserver is out of reach or silent.
  Result<wire::RegistryReply> ask(wire::RegistryRequest request, std::stop_token stop);
  // How many members the network has; none while the metaserver is out of reach.
  std::optional<wire::Members> members(std::stop_token stop);

 private:
  Network& network_;
};

}  // namespace espalier::peer::shell
