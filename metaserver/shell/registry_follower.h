// Keeps a copy of the registry up to date for the files' writer and the commands.
//
// Not thread-safe: its owner, Server, guards it. Lock order: the follower, then the registry.
// catchUp() takes the registry's mutex for one page of changes at a time, and pauses between two.
#pragma once

#include <memory>

#include "common/base/guarded.h"
#include "common/command/network_commands.h"
#include "metaserver/core/registry_copy.h"

namespace espalier::metaserver::shell {

class RegistryFollower {
 public:
  // The state of the registry at the moment of the copy.
  struct Moment {
    std::uint64_t version = 0;
    bool awaiting = false;
    wire::NetworkId network;
    JoinOrder nextOrder{1};
  };

  Moment catchUp(Guarded<std::unique_ptr<Registry>>& registry);
  const RegistryCopy& copy() const { return copy_; }

 private:
  RegistryCopy copy_;
};

// O(n).
command::Topology topologyOf(const RegistryCopy& copy);

}  // namespace espalier::metaserver::shell
