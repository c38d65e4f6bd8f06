#include "tests/simulation/honest.h"

#include <algorithm>
#include <chrono>

#include "common/base/limits.h"
#include "tests/support/coverage_text.h"

namespace espalier::simulation {
namespace {

using namespace std::chrono_literals;
using Wrong = std::optional<std::string>;

constexpr auto kLook = 100ms;  // how often the links are looked at during a search

std::vector<NodeId> honest(const World& world) {
  auto peers = world.awake();
  std::erase_if(peers, [&](NodeId peer) { return !world.isHonest(peer); });
  return peers;
}

// Whether a peer may keep from others what lies behind it: it passes nothing on, says too early
// that all behind it have answered, says that fewer peers are behind it, or answers those that it
// asks, who then take their way to the asker for lost.
bool hidesOthers(const World& world, NodeId peer) {
  const auto& lies = world.conduct(peer).lies;
  return std::any_of(lies.begin(), lies.end(), [](Lie lie) {
    return lie == Lie::mute || lie == Lie::coverage || lie == Lie::hits || lie == Lie::gossip ||
           lie == Lie::labels;
  });
}

// The peer under an id that is honest and awake.
std::optional<NodeId> honestNamed(const World& world, const PeerId& id) {
  const auto peer = world.named(id.text());
  if (!peer) return std::nullopt;
  const auto peers = honest(world);
  return std::find(peers.begin(), peers.end(), *peer) != peers.end() ? peer : std::nullopt;
}

Wrong judgeTree(const World& world) {
  std::vector<std::string> roots;
  for (const NodeId peer : world.awake()) {
    const auto* tree = world.peer(peer).tree();
    if (tree == nullptr) {
      if (world.isHonest(peer)) return world.id(peer) + " is not in the network";
      continue;
    }
    if (!tree->parent()) {
      roots.push_back(world.id(peer));
    } else if (world.isHonest(peer) && !world.parent(peer)) {
      return fmt::format("{} holds a link to {}, which does not", world.id(peer),
                         tree->parent()->contact.id.text());
    }
  }
  if (roots.size() == 1) return std::nullopt;
  return fmt::format("there are {} trees, with the roots {}", roots.size(), fmt::join(roots, ", "));
}

// The links between honest peers, as topo.txt has them and as the peers hold them.
Wrong judgeTopology(const World& world) {
  const auto* registry = world.registry();
  if (registry == nullptr) return "there is no metaserver";
  bool more = false;
  std::map<std::string, std::set<std::string>> lines;
  for (const auto& entry : registry->entries(kNoOrder, SIZE_MAX, more)) {
    auto& line = lines[entry.member.id.text()];
    for (const auto& neighbour : entry.neighbours) {
      if (honestNamed(world, neighbour)) line.insert(neighbour.text());
    }
  }
  const auto& snapshot = registry->tree();
  for (const NodeId peer : honest(world)) {
    const auto* tree = world.peer(peer).tree();
    std::set<std::string> held;
    for (const auto& neighbour : tree->neighbours()) {
      const auto other = honestNamed(world, neighbour.contact.id);
      // A liar may hold a link in the name of an honest peer.
      if (other && (world.parent(peer) == other || world.parent(*other) == peer)) {
        held.insert(neighbour.contact.id.text());
      }
    }
    if (lines[world.id(peer)] != held) {
      return fmt::format("topo.txt says {}: {}; of honest peers it holds {}", world.id(peer),
                         fmt::join(lines[world.id(peer)], " "), fmt::join(held, " "));
    }
    const auto node = snapshot.find(tree->self().id);
    if (!node) return fmt::format("the metaserver does not know {}", world.id(peer));
    const auto real = world.parent(peer);
    if (!real || !world.isHonest(*real)) continue;
    const auto above = snapshot.parent(*node);
    const std::string seen = above ? snapshot.member(*above).id.text() : "";
    if (seen != world.id(*real)) {
      return fmt::format("the metaserver's snapshot has {} below \"{}\"; it is below {}",
                         world.id(peer), seen, world.id(*real));
    }
  }
  return std::nullopt;
}

Wrong judgeTables(const World& world) {
  for (const NodeId peer : honest(world)) {
    const auto& core = world.peer(peer);
    if (core.membership().known().size() > 2 * limits::kKnownContacts) {
      return world.id(peer) + " knows too many contacts";
    }
    if (core.searches() != nullptr && core.searches()->openCount() > limits::kOpenQueries) {
      return world.id(peer) + " has too many searches open";
    }
    if (core.pushes() == nullptr) continue;
    if (core.pushes()->size() > limits::kPushes) return world.id(peer) + " has too many pushes";
    for (const auto& id : core.pushes()->ids()) {
      if (core.pushes()->view(id)->ledger.size() > limits::kLedgerEntries) {
        return world.id(peer) + " has a ledger of too many peers";
      }
    }
  }
  return std::nullopt;
}

// The honest peers whose answers reach the asker: over links whose relays all pass answers on.
std::set<NodeId> within(const World& world, NodeId asker) {
  std::set<NodeId> reached{asker};
  std::vector<NodeId> next{asker};
  while (!next.empty()) {
    const NodeId at = next.back();
    next.pop_back();
    for (const NodeId other : world.awake()) {
      const bool linked = world.parent(at) == other || world.parent(other) == at;
      if (linked && !hidesOthers(world, other) && reached.insert(other).second)
        next.push_back(other);
    }
  }
  std::erase_if(reached, [&](NodeId peer) { return !world.isHonest(peer); });
  return reached;
}

bool hasHit(const World& world, const peer::SearchResult& result, NodeId peer) {
  const auto id = *PeerId::parse(world.id(peer));
  const auto endpoint = world.peer(peer).tree()->self().endpoint;
  return std::any_of(result.files.begin(), result.files.end(), [&](const auto& file) {
    if (file.name != World::fileOf(world.id(peer)) || file.sizeBytes != 1) return false;
    return std::any_of(file.holders.begin(), file.holders.end(), [&](const auto& holder) {
      return holder.id == id && holder.endpoint == endpoint;
    });
  });
}

Wrong judgeResult(const World& world, NodeId asker, const peer::SearchResult& result,
                  const std::set<NodeId>& reached, bool mayCount) {
  for (const NodeId peer : reached) {
    const bool counted = mayCount && result.moreOf.contains(*PeerId::parse(world.id(peer)));
    if (!hasHit(world, result, peer) && !counted) {
      return fmt::format("{} did not find the file of {} ({})", world.id(asker), world.id(peer),
                         coverageText(result));
    }
  }
  for (const auto& file : result.files) {
    const bool isAsked = file.name.find("file") != std::string::npos;
    const bool isOwn =
        std::any_of(file.holders.begin(), file.holders.end(),
                    [&](const auto& holder) { return holder.id.text() == world.id(asker); });
    if (!isAsked && !isOwn) {
      return fmt::format("{} finds {}, and did not ask for it", world.id(asker), file.name);
    }
  }
  for (const auto& file : result.files) {
    for (const auto& holder : file.holders) {
      if (holder.id.text() != world.id(asker) || file.name == World::kUnasked) continue;
      if (file.name == World::fileOf(world.id(asker)) && file.sizeBytes == 1) continue;
      return fmt::format("{} believes that it has {} itself", world.id(asker), file.name);
    }
  }
  if (result.searched < reached.size() || result.searched > result.members) {
    return fmt::format("{} finds that {}; {} honest peers answered", world.id(asker),
                       coverageText(result), reached.size());
  }
  std::uint64_t missing = result.missingUnnamed;
  for (const auto& peer : result.missing) missing += peer.below + (peer.answered ? 0 : 1);
  if (result.searched + missing != result.members) {
    return fmt::format("{} finds that {}, which does not add up", world.id(asker),
                       coverageText(result));
  }
  return std::nullopt;
}

// The peers under whose ids a liar holds links that both ends have reported, because it is linked
// to each of the two ends under the id of the other. Without keys nobody can tell, and what such a
// peer says does not arrive over its real links.
std::set<NodeId> doubled(const World& world) {
  std::set<NodeId> doubled;
  for (const NodeId peer : honest(world)) {
    const auto* tree = world.peer(peer).tree();
    if (tree == nullptr) continue;
    for (const auto& neighbour : tree->neighbours()) {
      const auto other = honestNamed(world, neighbour.contact.id);
      const bool isReal = other && (world.parent(peer) == other || world.parent(*other) == peer);
      if (other && !isReal && neighbour.isConfirmed) doubled.insert(*other);
    }
  }
  return doubled;
}

}  // namespace

Wrong judgeHonest(const World& world) {
  if (world.failure()) return world.failure();
  if (auto wrong = judgeTree(world)) return wrong;
  if (auto wrong = judgeTopology(world)) return wrong;
  return judgeTables(world);
}

Wrong searchHonest(World& world) {
  const auto peers = honest(world);
  if (peers.empty()) return std::nullopt;
  const NodeId asker = peers[world.below(peers.size())];
  auto reached = within(world, asker);
  const auto congestions = world.congestions();
  std::optional<peer::SearchResult> result;
  world.find(asker, [&](const peer::SearchResult& r) { result = r; });
  const TimePoint latest = world.now() + 90s;
  while (!result && world.now() < latest && !world.failure()) {
    for (const NodeId peer : doubled(world)) reached.erase(peer);
    world.runUntil(world.now() + kLook);
  }
  if (world.failure()) return world.failure();
  if (!result) return "a search did not end";
  return judgeResult(world, asker, *result, reached, world.congestions() > congestions);
}

}  // namespace espalier::simulation
