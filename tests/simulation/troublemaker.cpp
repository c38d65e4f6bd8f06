#include "tests/simulation/troublemaker.h"

namespace espalier::simulation {

using namespace std::chrono_literals;

void Troublemaker::once() {
  world_.lieToParents();
  switch (world_.below(14)) {
    case 0:
    case 1:
    case 2:
      return crashSome(1);
    case 3:
      return crashSome(1 + world_.below(4));
    case 4:
      return world_.leave(anybody());
    case 5:
    case 6:
      return standStill();
    case 7:
      return cut();
    case 8:
      return metaserver();
    case 9:
      return reviveSome();
    case 10:
      return restartSome();
    case 11:
      return findSomething();
    default:
      world_.startPeer(fmt::format("s{}", ++next_), conduct_ ? conduct_() : Conduct{});
  }
}

NodeId Troublemaker::anybody() {
  const auto living = world_.living();
  return living[world_.below(living.size())];
}

void Troublemaker::crashSome(std::size_t count) {
  for (std::size_t i = 0; i < count && world_.living().size() > 2; ++i) {
    const NodeId victim = anybody();
    world_.crash(victim);
    dead_.push_back(victim);
  }
}

void Troublemaker::reviveSome() {
  if (dead_.empty()) return;
  world_.revive(dead_.back());
  dead_.pop_back();
}

// Restarts a peer so soon that the others may not have noticed its death.
void Troublemaker::restartSome() {
  const NodeId victim = anybody();
  world_.crash(victim);
  world_.at(world_.now() + std::chrono::milliseconds(world_.below(50)),
            [this, victim] { world_.revive(victim); });
}

void Troublemaker::standStill() {
  const NodeId sleeper = anybody();
  if (world_.stopped(sleeper)) return;
  world_.stop(sleeper);
  const auto length = 500ms + std::chrono::milliseconds(world_.below(14'000));
  world_.at(world_.now() + length, [this, sleeper] { world_.resume(sleeper); });
}

void Troublemaker::cut() {
  std::set<NodeId> side;
  for (const NodeId peer : world_.living()) {
    if (world_.below(2) == 0) side.insert(peer);
  }
  const auto* cluster = world_.cluster();
  for (NodeId one = kMetaserver; one < (cluster ? cluster->size() : 1); ++one) {
    if (world_.below(4) == 0) side.insert(one);
  }
  world_.heal();
  world_.partition(std::move(side));
  world_.at(world_.now() + std::chrono::milliseconds(200 + world_.below(15'000)),
            [this] { world_.heal(); });
}

void Troublemaker::metaserver() {
  if (!world_.metaserverUp()) return;
  world_.crashMetaserver();
  if (world_.below(5) == 0) return;  // it does not go on: the tree must heal without it
  world_.at(world_.now() + std::chrono::milliseconds(100 + world_.below(20'000)),
            [this] { world_.restartMetaserver(); });
}

void Troublemaker::findSomething() {
  const NodeId asker = anybody();
  const auto* tree = world_.peer(asker).tree();
  if (world_.stopped(asker) || tree == nullptr) return;
  world_.find(asker, [](const peer::SearchResult&) {});
}

}  // namespace espalier::simulation
