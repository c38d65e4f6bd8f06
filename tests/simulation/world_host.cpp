// The part of World that carries out the effects of a peer's core.
#include <algorithm>

#include "tests/simulation/world_parts.h"

namespace espalier::simulation {

void World::Host::listen(const Endpoint& at) {
  world.at(world.now_, [&world = world, &node = node, at, life = node.life] {
    if (!node.alive || node.life != life) return;
    const bool isTaken = world.listeners_.contains(at.port);
    if (!isTaken) {
      world.listeners_[at.port] = node.number;
      node.port = at.port;
    }
    world.step(node, [&](peer::Effects& fx) {
      if (isTaken) {
        node.peer->listenFailed({ErrorCode::unavailable, "the port is taken"}, world.now_, fx);
      } else {
        node.peer->listening(at, world.now_, fx);
      }
    });
  });
}

bool World::Host::send(const peer::Send& send) {
  auto message = send.message;
  auto* const onLink = std::get_if<wire::LinkMessage>(&message);
  if (node.liar && onLink != nullptr && !node.liar->pass(*onLink)) return false;
  std::visit(
      [&](auto& each) {
        if constexpr (std::is_constructible_v<Payload, decltype(each)>) {
          world.transmit(node.number, send.to, std::move(each));
        }
      },
      message);
  return world.queuedFor(node.number, send.to) > world.settings_.queuedMessages;
}

void World::Host::close(ConnectionId connection) {
  node.executor->closed(connection);
  world.closeEnd(node.number, connection);
}

void World::Host::searched(peer::SearchUpdate& update) {
  if (!update.result) return;
  const auto search = node.searches.find(update.id);
  if (search == node.searches.end()) return;
  auto ended = std::move(search->second);
  node.searches.erase(search);
  ended(*update.result);
}

void World::Host::pushJob(peer::PushJob& job) {
  if (auto wrong = world.witness_.job(node.number, job)) world.fail(*wrong);
  node.desk->carryOut(job);
}

void World::Host::pushChanged(const PushId& id) {
  if (!world.settings_.watch) return;
  if (auto wrong = world.witness_.changed(node.number, id)) world.fail(*wrong);
}

void World::Host::notice(const peer::Notice& notice) {
  using Kind = peer::Notice::Kind;
  // All metaservers of a cluster are full for a while: those that drain take nobody.
  const bool isFull = notice.kind == Kind::refused && world.cluster_;
  if ((notice.kind == Kind::metaserverLost || isFull) && node.peer->tree() == nullptr) {
    world.tryAgain(node, isFull);
  }
  if (notice.kind == peer::Notice::Kind::renamed) world.checkRenamed(node);
  if (notice.kind == peer::Notice::Kind::refused && node.peer->tree() == nullptr) {
    // Its user gives up: the id is another one's.
    world.later(node, world.now_, [&world = world, &node = node] { world.crash(node.number); });
  }
  if (!world.trace_) return;
  world.log(fmt::format("{} notice {} {}", node.id, static_cast<int>(notice.kind), notice.text));
}

// --- full queues

void World::Host::pauseLinks(ConnectionId except) {
  ++world.congestions_;
  world.log(node.id + " reads one link only: the queue of that one is full");
  for (const auto& [pipe, end] : world.linksOf(node.number)) {
    if (pipe->ends[end].connection != except) pipe->ends[end].isPaused = true;
  }
}

void World::Host::resumeLinks() {
  world.log(node.id + " reads all links");
  for (const auto& link : world.linksOf(node.number)) {
    const auto pipe = link.first;
    const int end = link.second;
    pipe->ends[end].isPaused = false;
    for (auto waiting = std::exchange(pipe->ends[end].waiting, 0); waiting > 0; --waiting) {
      world.at(world.now_, [&world = world, &node = node, pipe, end] {
        world.enqueue(node.number, [&world, pipe, end] { world.arrived(pipe, end); });
      });
    }
  }
}

std::vector<std::pair<std::shared_ptr<World::Pipe>, int>> World::linksOf(NodeId number) const {
  std::vector<std::pair<std::shared_ptr<Pipe>, int>> links;
  for (auto found = pipes_.lower_bound({number, ConnectionId{0}});
       found != pipes_.end() && found->first.first == number; ++found) {
    const auto& pipe = found->second;
    if (pipe->push || !pipe->connected || isMetaserver(pipe->ends[1].node)) continue;
    links.emplace_back(pipe, pipe->endOf(number, found->first.second));
  }
  return links;
}

// The number of messages that the other end has not read.
std::size_t World::queuedFor(NodeId sender, ConnectionId connection) const {
  const auto found = pipes_.find({sender, connection});
  if (found == pipes_.end()) return 0;
  const auto& pipe = *found->second;
  return pipe.ends[1 - pipe.endOf(sender, connection)].coming.size();
}

// A message was read. Once half of the queue has been read, the sender's executor is told.
void World::wasRead(const std::shared_ptr<Pipe>& pipe, int byEnd) {
  const auto& end = pipe->ends[1 - byEnd];
  if (pipe->push || isMetaserver(end.node) || !end.open) return;
  if (pipe->ends[byEnd].coming.size() > settings_.queuedMessages / 2) return;
  Node& sender = node(end.node);
  if (!sender.alive || sender.life != end.life || !sender.executor->isFull(end.connection)) return;
  at(now_, [this, &sender, connection = end.connection, life = end.life] {
    enqueue(sender.number, [&sender, connection, life] {
      if (sender.alive && sender.life == life) sender.executor->drained(connection);
    });
  });
}

}  // namespace espalier::simulation
