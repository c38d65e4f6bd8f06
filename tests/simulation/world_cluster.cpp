// The part of World that has several metaservers, and connects peers to them.
#include "tests/simulation/world_parts.h"

namespace espalier::simulation {

// Nodes of metaservers have their index in the cluster.
struct World::ClusterHost : test::ClusterNetwork::Outside {
  explicit ClusterHost(World& its) : world(its) {}

  TimePoint now() const override { return world.now_; }
  void at(TimePoint when, std::function<void()> action) override {
    world.at(when, std::move(action));
  }
  void toPeer(std::size_t server, ConnectionId connection,
              const wire::RegistryReply& reply) override {
    world.transmit(server, connection, reply);
  }
  void closePeer(std::size_t server, ConnectionId connection) override {
    world.closeEnd(server, connection);
  }
  bool isRead(std::size_t server, ConnectionId connection) const override {
    const auto pipe = world.pipes_.find({server, connection});
    if (pipe == world.pipes_.end()) return false;
    return pipe->second->ends[1 - pipe->second->endOf(server, connection)].open;
  }
  bool listens(const Endpoint& endpoint) const override {
    return world.listeners_.contains(endpoint.port);
  }
  void ended(std::size_t server) override { world.endPipes(server); }
  void log(const std::string& line) override { world.log(line); }
  bool isLogged() const override { return world.trace_; }
  void fail(std::string what) override { world.fail(std::move(what)); }

  World& world;
};

void World::startCluster() {
  clusterHost_ = std::make_shared<ClusterHost>(*this);
  cluster_ = std::make_unique<test::ClusterNetwork>(*clusterHost_, settings_.cluster, random_());
  for (std::size_t i = 0; i < settings_.metaservers; ++i) {
    nodes_.push_back(std::make_unique<Node>());
    nodes_[i]->number = i;
    nodes_[i]->id = fmt::format("m{}", 5000 + i);
  }
}

bool World::metaserverUp() const {
  if (!cluster_) return registry_ != nullptr;
  for (std::size_t i = 0; i < cluster_->size(); ++i) {
    if (cluster_->runs(i)) return true;
  }
  return false;
}

const metaserver::Registry* World::registry() const {
  if (!cluster_) return registry_.get();
  const metaserver::Registry* found = nullptr;
  for (std::size_t i = 0; i < cluster_->size(); ++i) {
    if (!cluster_->runs(i) || cluster_->core(i).registry() == nullptr) continue;
    if (found != nullptr) return nullptr;
    found = cluster_->core(i).registry();
  }
  return found;
}

std::optional<NodeId> World::metaserverAt(const Endpoint& address) const {
  if (!cluster_) {
    const bool isUp = registry_ != nullptr && address.port == registryPort_;
    return isUp ? std::optional(kMetaserver) : std::nullopt;
  }
  const auto found = cluster_->at(address);
  return found && cluster_->runs(*found) ? found : std::nullopt;
}

std::uint64_t World::lifeOf(NodeId metaserver) const {
  return cluster_ ? cluster_->run(metaserver) : registryLife_;
}

void World::arrivedAtCluster(NodeId metaserver, ConnectionId connection,
                             const std::optional<Payload>& payload) {
  if (!payload) return cluster_->peerClosed(metaserver, connection);
  cluster_->peerReceived(metaserver, connection, std::get<wire::RegistryRequest>(*payload));
}

std::optional<std::size_t> World::homeOf(NodeId number) const {
  for (auto pipe = pipes_.lower_bound({number, ConnectionId{0}});
       pipe != pipes_.end() && pipe->first.first == number; ++pipe) {
    const auto& end = pipe->second->ends[1];
    const bool isHere = pipe->second->ends[0].node == number && pipe->second->connected;
    if (isHere && isMetaserver(end.node) && lifeOf(end.node) == end.life) return end.node;
  }
  return std::nullopt;
}

}  // namespace espalier::simulation
