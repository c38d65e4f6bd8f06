// Keeps a copy of the directory up to date for the files' writer, the commands and the page.
//
// Not thread-safe: its owner, Server, guards it. Lock order: the follower, then the coordinator.
// catchUp() takes the coordinator's mutex for one page of changes at a time, and pauses between
// two.
#pragma once

#include <memory>

#include "common/base/guarded.h"
#include "common/command/network_commands.h"
#include "metaserver/core/cluster/coordinator.h"
#include "metaserver/core/cluster/directory_changes.h"
#include "metaserver/core/registry_copy.h"

namespace espalier::metaserver::shell {

class RegistryFollower {
 public:
  // Of the moment of the copy.
  using Moment = cluster::Coordinator::Moment;

  Moment catchUp(Guarded<std::unique_ptr<cluster::Coordinator>>& coordinator);
  const RegistryCopy& copy() const { return copy_; }
  // What has changed since the last call, for the database; `all`: from scratch.
  MemberChanges takeForDatabase(bool all);
  // The same for the page.
  MemberChanges takeForPage(bool all);

 private:
  cluster::DirectoryChanges forDatabase_;
  cluster::DirectoryChanges forPage_;
  RegistryCopy copy_;
};

// O(n).
command::Topology topologyOf(const RegistryCopy& copy);

}  // namespace espalier::metaserver::shell
