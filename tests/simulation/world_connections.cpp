// The part of World that delivers messages.
#include <algorithm>

#include "tests/simulation/world_parts.h"

namespace espalier::simulation {

// The numbers of push connections do not collide with those that the core dials (odd) or that are
// accepted (even).
ConnectionId World::dialPush(NodeId from, const Endpoint& to) {
  const ConnectionId connection{(1ull << 62) + 2 * ++dialledPushes_ + 1};
  dial(node(from), {connection, to, wire::Purpose::push});
  return connection;
}

ConnectionId World::dialLie(NodeId from, const Endpoint& to, wire::Purpose purpose) {
  const ConnectionId connection{(3ull << 61) + 2 * ++dialledLies_ + 1};
  dial(node(from), {connection, to, purpose}, true);
  return connection;
}

Duration World::chunkTime() const {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(
      static_cast<double>(limits::kPushChunkBytes) / settings_.uploadBytesPerSecond));
}

void World::dial(Node& from, const peer::Dial& dial, bool lie) {
  log(fmt::format("{} dials {}", from.id, dial.to.text()));
  auto pipe = std::make_shared<Pipe>();
  pipe->ends[0] = {from.number, dial.connection, from.life, now_, true, {}};
  pipe->push = dial.purpose == wire::Purpose::push;
  pipe->lie = lie;
  pipes_[{from.number, dial.connection}] = pipe;
  const auto refused = [this, &from, pipe] {
    const auto connection = pipe->ends[0].connection;
    enqueue(from.number, [this, &from, pipe, connection] {
      if (!from.alive || from.life != pipe->ends[0].life) return;
      if (pipes_.erase({from.number, connection}) == 0) return;  // closed meanwhile
      if (pipe->push) return from.desk->ended(connection);
      if (pipe->lie) return from.liar->ended(connection);
      step(from, [&](peer::Effects& fx) {
        from.peer->failed(connection, {ErrorCode::unavailable, "refused"}, now_, fx);
      });
    });
  };
  at(arrival(), [this, &from, dial, pipe, refused] {
    if (!pipe->ends[0].open) return;
    const bool registry = dial.purpose == wire::Purpose::registry;
    const auto listener = listeners_.find(dial.to.port);
    const auto metaserver = metaserverAt(dial.to);
    const NodeId to = registry                       ? metaserver.value_or(kMetaserver)
                      : listener == listeners_.end() ? from.number
                                                     : listener->second;
    if (separated(from.number, to)) return at(now_ + limits::kAttachTimeout, refused);
    const bool up = registry ? metaserver.has_value() : listener != listeners_.end();
    if (!up) return at(arrival(), refused);
    dialled(from, dial.connection, to, dial.purpose);
  });
}

void World::dialled(Node& from, ConnectionId connection, NodeId to, wire::Purpose purpose) {
  const auto pipe = pipes_[{from.number, connection}];
  const ConnectionId accepted{++accepted_ * 2};
  const bool registry = purpose == wire::Purpose::registry;
  pipe->ends[1] = {to, accepted, registry ? lifeOf(to) : node(to).life, now_, true, {}};
  pipe->connected = true;
  pipes_[{to, accepted}] = pipe;
  if (registry && cluster_) {
    cluster_->peerOpened(to, accepted);
  } else if (registry) {
    stepRegistry([&](metaserver::Effects&) { registry_->opened(accepted, "127.0.0.1", now_); });
  }
  // As the Welcome says.
  const bool isOfCluster = registry && cluster_ && cluster_->runs(to);
  const auto network = isOfCluster ? cluster_->core(to).moment().network : wire::NetworkId{};
  later(from, arrival(), [this, &from, pipe, network] {
    if (!pipe->ends[0].open) return;
    if (pipe->push) return from.desk->opened(pipe->ends[0].connection);
    if (pipe->lie) return from.liar->opened(pipe->ends[0].connection);
    step(from, [&](peer::Effects& fx) {
      from.peer->opened(pipe->ends[0].connection, "127.0.0.1", now_, fx, network);
    });
  });
  auto early = std::move(pipe->early);
  for (auto& payload : early) deliver(pipe, 1, std::move(payload));
}

void World::transmit(NodeId from, ConnectionId connection, Payload payload) {
  const auto found = pipes_.find({from, connection});
  if (found == pipes_.end()) return;
  const auto pipe = found->second;
  const int end = pipe->endOf(from, connection);
  if (!pipe->ends[end].open) return;
  if (const auto* request = std::get_if<wire::RegistryRequest>(&payload)) {
    const auto* join = std::get_if<wire::Join>(request);
    if (join != nullptr) pipe->comesBack = join->order != kNoOrder;
  }
  if (!pipe->connected) {
    pipe->early.push_back(std::move(payload));
  } else {
    deliver(pipe, 1 - end, std::move(payload));
  }
}

void World::deliver(const std::shared_ptr<Pipe>& pipe, int toEnd, std::optional<Payload> payload) {
  pipe->ends[toEnd].coming.push_back(std::move(payload));
  scheduleArrival(pipe, toEnd);
}

void World::scheduleArrival(const std::shared_ptr<Pipe>& pipe, int toEnd) {
  auto& end = pipe->ends[toEnd];
  end.lastArrival = std::max(arrival(), end.lastArrival);
  at(end.lastArrival, [this, pipe, toEnd] {
    if (separated(pipe->ends[0].node, pipe->ends[1].node)) {
      heldBack_.push_back([this, pipe, toEnd] { scheduleArrival(pipe, toEnd); });
      return;
    }
    enqueue(pipe->ends[toEnd].node, [this, pipe, toEnd] { arrived(pipe, toEnd); });
  });
}

// A message, or nothing: the other side has ended the connection.
void World::arrived(const std::shared_ptr<Pipe>& pipe, int toEnd) {
  auto& end = pipe->ends[toEnd];
  if (end.isPaused && end.open) {
    ++end.waiting;
    return;
  }
  const auto payload = std::move(end.coming.front());
  end.coming.pop_front();
  wasRead(pipe, toEnd);
  if (!end.open) return;
  if (!payload) {
    end.open = false;
    pipes_.erase({end.node, end.connection});
  }
  if (cluster_ && isMetaserver(end.node)) {
    if (lifeOf(end.node) == end.life) arrivedAtCluster(end.node, end.connection, payload);
    return;
  }
  if (end.node == kMetaserver) {
    if (!registry_ || registryLife_ != end.life) return;
    return stepRegistry([&](metaserver::Effects& fx) {
      if (!payload) return registry_->closed(end.connection, now_, fx);
      registry_->received(end.connection, std::get<wire::RegistryRequest>(*payload), now_, fx);
    });
  }
  Node& receiver = node(end.node);
  if (!receiver.alive || receiver.life != end.life) return;
  if (!payload && !pipe->push) receiver.executor->closed(end.connection);
  if (pipe->push) {
    if (!payload) return receiver.desk->ended(end.connection);
    return receiver.desk->received(end.connection, std::get<PushWord>(*payload));
  }
  const auto* const onLink = payload ? std::get_if<wire::LinkMessage>(&*payload) : nullptr;
  if (pipe->lie && toEnd == 0) {
    if (!payload) receiver.liar->ended(end.connection);
    if (onLink != nullptr) receiver.liar->answered(end.connection, *onLink);
    return;
  }
  if (receiver.liar && onLink != nullptr) receiver.liar->hear(end.connection, *onLink);
  step(receiver, [&](peer::Effects& fx) {
    if (!payload) return receiver.peer->closed(end.connection, now_, fx);
    if (const auto* reply = std::get_if<wire::RegistryReply>(&*payload)) {
      receiver.peer->received(end.connection, *reply, now_, fx);
    } else {
      receiver.peer->received(end.connection, *onLink, now_, fx);
    }
  });
}

void World::closeEnd(NodeId number, ConnectionId connection) {
  const auto found = pipes_.find({number, connection});
  if (found == pipes_.end()) return;
  const auto pipe = found->second;
  const int end = pipe->endOf(number, connection);
  pipe->ends[end].open = false;
  pipes_.erase(found);
  if (pipe->connected) deliver(pipe, 1 - end, std::nullopt);
}

void World::sever() {
  if (pipes_.empty()) return;
  const auto pipe =
      std::next(pipes_.begin(), static_cast<std::ptrdiff_t>(below(pipes_.size())))->second;
  if (!pipe->connected) return;
  log(fmt::format("the connection of {} to {} breaks", node(pipe->ends[0].node).id,
                  node(pipe->ends[1].node).id));
  for (const int end : {0, 1}) deliver(pipe, end, std::nullopt);
}

void World::endPipes(NodeId number) {
  std::vector<ConnectionId> connections;
  for (auto pipe = pipes_.lower_bound({number, ConnectionId{0}});
       pipe != pipes_.end() && pipe->first.first == number; ++pipe) {
    connections.push_back(pipe->first.second);
  }
  for (const auto connection : connections) closeEnd(number, connection);
}

}  // namespace espalier::simulation
