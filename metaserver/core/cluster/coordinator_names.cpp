// The part of Coordinator about what only one metaserver of a cluster may have: name, number and
// ports; and its network.
#include <fmt/format.h>

#include <tuple>
#include <utility>
#include <vector>

#include "metaserver/core/cluster/coordinator.h"

namespace espalier::metaserver::cluster {

bool Coordinator::isFounded() const {
  return isFounded_ || (isSingle_ && authority_->registry.nextOrder() > JoinOrder{1});
}

Result<void> Coordinator::differsFrom(const wire::ServerState& other) const {
  const auto& self = mesh_.self();
  if (isSameRun(self, other)) return {};  // the mesh finds that it is this one itself
  if (other.name == self.name) {
    return Error{ErrorCode::refused, fmt::format("the name {} is taken by the one on {}",
                                                 other.name.text(), other.address.text())};
  }
  if (other.number != self.number) return {};
  return Error{ErrorCode::failed,
               fmt::format("the number {} is taken by {} on {}", number(other.number),
                           other.name.text(), other.address.text())};
}

// Both ends compare the same states, so one of them gives way.
bool Coordinator::givesWayTo(const wire::ServerState& other) const {
  const auto& self = mesh_.self();
  const bool isSettled = isFounded() || !self.heard.empty();
  const bool isOtherSettled = other.isFounded || !other.heard.empty();
  if (isSettled != isOtherSettled) return isOtherSettled;
  const auto rank = [](const wire::ServerState& state) {
    return std::tie(state.started, state.address.host, state.address.port);
  };
  return rank(other) < rank(self);
}

bool Coordinator::rename(const ServerName& name) {
  return mesh_.links().empty() && mesh_.setIdentity(name, mesh_.self().number);
}

bool Coordinator::renumber(ServerNumber number, CoordinatorEffects& fx) {
  const bool isUnused = isSingle_ || !authority_;  // else epochs and sessions have the old one
  if (!isUnused || !mesh_.links().empty() || !mesh_.setIdentity(mesh_.self().name, number)) {
    return false;
  }
  inRooms([&](auto& core, auto&) { core.renumber(number); });
  // The block of orders is that of the other one, if this state is a copy of its.
  durable_.ordersUpTo = kNoOrder;
  ownNext_ = kNoOrder;
  fx.durable = durable_;
  return true;
}

// It takes part in the network of others: orders of joining of before were those of another one.
void Coordinator::adoptNetwork(const wire::NetworkId& network, CoordinatorEffects& fx) {
  if (network == network_ && durable_.network == network) return;
  network_ = network;
  durable_.network = network;
  durable_.ordersUpTo = kNoOrder;
  ownNext_ = kNoOrder;
  fx.durable = durable_;
}

void Coordinator::reservePorts() {
  if (!authority_) return;
  std::vector<Endpoint> all = expected_;
  const auto add = [&](const wire::ServerState& state) {
    all.push_back(state.address);
    if (state.serverPort != 0) all.push_back({state.address.host, state.serverPort});
  };
  add(mesh_.self());
  for (const auto& [state, way] : mesh_.reachable()) add(state);
  authority_->registry.setMetaservers(std::move(all));
}

}  // namespace espalier::metaserver::cluster
