// The part of Server that answers the commands about the network and its peers, and the page.
#include <utility>

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

void Server::readMembers(const OnMembers& onMembers) {
  HomeNames homes;
  const auto servers = coordinator_.with([](auto& coordinator) { return coordinator->servers(); });
  for (const auto& row : servers) {
    homes.names[row.state.number] = row.state.name;
    if (row.isSelf) homes.own = row.state.name;
  }
  follower_.with([&](RegistryFollower& follower) {
    follower.catchUp(coordinator_);
    const bool haveHomesChanged = std::exchange(pageHomes_, homes) != homes;
    onMembers(follower.copy(), follower.takeForPage(haveHomesChanged), homes);
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
    status.joined = registry->joinedCount();
    status.lost = registry->lostCount();
    status.adrift = registry->heals().adrift();
    status.heals = registry->heals().took();
  });
  status.queueBytes = loop_.budget()->held(limits::Held::queuedBytes);
  status.endpoint = address();
  status.maxLinks = options_.maxLinks;
  status.placement = options_.placement;
  status.topoFile = options_.topoFile;
  status.uptime = Clock::now() - started_;
  return status;
}

}  // namespace espalier::metaserver::shell
