// The part of World for hostile strangers, which use separate connections. A stranger that claims
// the id of another peer must get nothing that belongs to that peer. Each claim is sent and checked
// within one step, and then its connection ends. So honest peers are not affected.
#include <algorithm>

#include "common/base/limits.h"
#include "tests/simulation/world_parts.h"

namespace espalier::simulation {
namespace {

constexpr std::uint64_t kLiars = 1ull << 61;  // the first number of their connections

InstanceKey liarsKey() {
  InstanceKey key;
  key.bytes.fill(0xff);
  return key;
}

}  // namespace

// Sends to a restarted metaserver, before any member has come back: the id of a former member, its
// join order, or both, without its key.
void World::lieToRegistry() {
  constexpr std::size_t kVictims = 3;
  for (std::size_t i = 0; i < std::min(kVictims, disk_.members.size()); ++i) {
    const auto& victim = disk_.members[i];
    for (const auto& id : {victim.id, *PeerId::parse("liar")}) {
      wire::Join lie;
      lie.id = id;
      lie.key = liarsKey();
      lie.word = "P2P";
      lie.network = disk_.network;
      lie.order = victim.order;
      lie.listen = victim.endpoint;
      const ConnectionId connection{kLiars + 2 * ++lies_};
      stepRegistry([&](metaserver::Effects& fx) {
        registry_->opened(connection, "127.0.0.1", now_);
        registry_->received(connection, lie, now_, fx);
      });
      for (const auto& member : remembered()) {
        if (member.key != liarsKey()) continue;
        fail(fmt::format("a liar is in the network as {}, with the order {} of {}",
                         member.id.text(), number(member.order), victim.id.text()));
      }
      stepRegistry([&](metaserver::Effects& fx) { registry_->closed(connection, now_, fx); });
    }
  }
}

// Sends to every parent: an Attach with the id of one of its children.
void World::lieToParents() {
  for (const NodeId number : awake()) {
    Node& parent = node(number);
    const auto* tree = parent.peer->tree();
    if (tree == nullptr || tree->children().empty()) continue;
    const auto child = tree->children().front();
    if (now_ >= child.heard + limits::kContestSilence) continue;  // the child may be dead
    const wire::Attach lie{tree->network(), child.contact, {}, 1, {}};
    const ConnectionId connection{kLiars + 2 * ++lies_};
    step(parent, [&](peer::Effects& fx) {
      parent.peer->received(connection, wire::LinkMessage(lie), now_, fx);
    });
    const auto& children = parent.peer->tree()->children();
    const bool stays = std::any_of(children.begin(), children.end(), [&](const auto& each) {
      return each.connection == child.connection;
    });
    if (!stays) {
      fail(fmt::format("{} gave its child {} up for somebody who only said its id", parent.id,
                       child.contact.id.text()));
    }
    step(parent, [&](peer::Effects& fx) { parent.peer->closed(connection, now_, fx); });
  }
}

}  // namespace espalier::simulation
