// The part of Server that answers the commands about the network and its peers.
#include "common/whatif/kill_plan.h"
#include "metaserver/shell/server.h"
#include "topo/dot.h"

namespace espalier::metaserver::shell {

Result<command::Topology> Server::topology(std::stop_token) {
  return follower_.with([&](RegistryFollower& follower) {
    follower.catchUp(coordinator_);
    return topologyOf(follower.copy());
  });
}

Result<std::string> Server::topologyDot(std::stop_token) {
  const auto lines = follower_.with([&](RegistryFollower& follower) {
    follower.catchUp(coordinator_);
    return follower.copy().lines();
  });
  return topo::toDot(lines);
}

Result<command::KillPlan> Server::whatIfKilled(const PeerId& id, std::stop_token) {
  const auto tree = follower_.with([&](RegistryFollower& follower) {
    follower.catchUp(coordinator_);
    return follower.copy().tree(options_.maxLinks);
  });
  return whatif::killPlan(tree, id);
}

std::vector<SeenMember> Server::members() {
  std::map<ServerNumber, ServerName> names;
  ServerName own;
  const auto servers = coordinator_.with([](auto& coordinator) { return coordinator->servers(); });
  for (const auto& row : servers) {
    names[row.state.number] = row.state.name;
    if (row.isSelf) own = row.state.name;
  }
  return follower_.with([&](RegistryFollower& follower) {
    follower.catchUp(coordinator_);
    const RegistryCopy& copy = follower.copy();
    std::vector<SeenMember> members;
    members.reserve(copy.rows().size());
    for (const auto& [order, row] : copy.rows()) {
      // A single metaserver tells no home.
      const auto home = names.find(row.home);
      members.push_back({copy.entry(row), home == names.end() ? own : home->second});
    }
    return members;
  });
}

Result<Status> Server::status() {
  Status status;
  coordinator_.with([&](auto& coordinator) {
    status.members = coordinator->directory().count();
    status.refused = coordinator->turnedAwayCount();
    const Registry* registry = coordinator->registry();
    if (registry == nullptr) return;
    status.members = registry->size();
    status.reserved = registry->reservedCount();
    status.awaited = registry->awaitedCount();
    status.refused += registry->refusedCount();
  });
  status.endpoint = address();
  status.maxLinks = options_.maxLinks;
  status.placement = options_.placement;
  status.topoFile = options_.topoFile;
  status.uptime = Clock::now() - started_;
  return status;
}

}  // namespace espalier::metaserver::shell
