// The tree, the plans and topo.txt against naive models of themselves, on random networks.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "tests/unit/topo_support.h"
#include "topo/placement.h"
#include "topo/plan.h"

using namespace espalier;
using namespace espalier::topo;

namespace {

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t bound) {
  return random() % bound;
}

// The tree as slowly and plainly as possible: ids and ordered lists of neighbours.
struct Model {
  struct Peer {
    std::uint64_t order;
    Endpoint endpoint;
    std::string parent;
    std::vector<std::string> neighbours;
  };
  unsigned maxLinks;
  std::map<std::string, Peer> peers;

  std::string rootOf(std::string name) const {
    while (!peers.at(name).parent.empty()) name = peers.at(name).parent;
    return name;
  }
  bool link(const std::string& child, const std::string& parent) {
    if (!peers[child].parent.empty() || rootOf(parent) == child) return false;
    if (peers[child].neighbours.size() >= maxLinks) return false;
    if (peers[parent].neighbours.size() >= maxLinks) return false;
    peers[child].parent = parent;
    peers[child].neighbours.push_back(parent);
    peers[parent].neighbours.push_back(child);
    return true;
  }
  void unlink(const std::string& child) {
    const std::string parent = std::exchange(peers[child].parent, "");
    std::erase(peers[child].neighbours, parent);
    std::erase(peers[parent].neighbours, child);
  }
  void remove(const std::string& name) {
    for (const auto& [other, itsState] : std::map(peers)) {
      if (itsState.parent == name) unlink(other);
    }
    if (!peers[name].parent.empty()) unlink(name);
    peers.erase(name);
  }
  std::string text() const {
    std::map<std::uint64_t, std::string> lines;
    for (const auto& [name, itsState] : peers) {
      std::string& line = lines[itsState.order] = name + ":";
      if (!itsState.neighbours.empty()) line += " ";
      for (const auto& neighbour : itsState.neighbours) line += " " + neighbour;
    }
    std::string text;
    for (const auto& [order, line] : lines) text += line + "\n";
    return text;
  }
  std::string nearest(const Endpoint& newcomer) const {
    std::string oldest;
    for (const auto& [name, itsState] : peers) {
      if (itsState.parent.empty() && (oldest.empty() || itsState.order < peers.at(oldest).order)) {
        oldest = name;
      }
    }
    const AddressKey key = AddressKey::of(newcomer);
    std::tuple<int, std::uint16_t, std::string> best{1, 0, "nobody"};
    for (const auto& [name, itsState] : peers) {
      if (rootOf(name) != oldest || itsState.neighbours.size() >= maxLinks) continue;
      const int shared =
          static_cast<int>(sharedAddressBits(key, AddressKey::of(itsState.endpoint)));
      best = std::min(best, {-shared, itsState.endpoint.port, name});
    }
    return std::get<2>(best);
  }
};

Endpoint randomEndpoint(Random& random) {
  const auto digit = [&] { return std::to_string(below(random, 3)); };
  const auto port = static_cast<std::uint16_t>(5000 + below(random, 3));
  switch (below(random, 4)) {
    case 0:
      return {"fd00::" + digit() + ":" + digit(), port};
    case 1:
      return {"host" + digit(), port};
    default:
      return {digit() + ".0." + digit() + "." + digit(), port};
  }
}

// One component after the other; some peers are linked bottom-up, so that roots are not the oldest.
Forest randomTree(Random& random, unsigned maxLinks, std::size_t peers) {
  std::vector<std::uint64_t> orders(peers);
  std::iota(orders.begin(), orders.end(), 1);
  if (below(random, 2) == 0) std::shuffle(orders.begin(), orders.end(), random);
  Forest tree(maxLinks);
  std::vector<NodeIndex> nodes;
  for (const auto order : orders) {
    const NodeIndex node = tree.add({peer("s" + std::to_string(order)), JoinOrder{order}, {}});
    if (!nodes.empty() && below(random, 15) != 0) {
      const NodeIndex other = nodes[below(random, nodes.size())];
      if (below(random, 4) == 0) {
        static_cast<void>(tree.link(tree.rootOf(other), node));
      } else {
        static_cast<void>(tree.link(node, *shallowestBelow(tree, other)));
      }
    }
    nodes.push_back(node);
  }
  return tree;
}

// planFailure by its definition: a tree is cut and mended, and searched from the start each time.
Plan naivePlan(Forest tree, const std::vector<NodeIndex>& dead) {
  const Forest before = tree;
  const std::set<NodeIndex> isDead(dead.begin(), dead.end());
  for (const NodeIndex node : isDead) tree.remove(node);
  Plan plan;
  std::map<NodeIndex, NodeIndex> newRoots;
  std::set<NodeIndex> seeking;
  std::vector<NodeIndex> orphans;
  for (const NodeIndex node : before.membersByOrder()) {
    const auto parent = before.parent(node);
    if (isDead.contains(node) || !parent || !isDead.contains(*parent)) continue;
    orphans.push_back(node);
    seeking.insert(node);
  }
  const auto livingAncestor = [&](NodeIndex orphan) {
    auto above = before.parent(orphan);
    while (above && isDead.contains(*above)) above = before.parent(*above);
    return above;
  };
  for (const NodeIndex orphan : orphans) {
    const NodeIndex oldRoot = before.rootOf(orphan);
    if (livingAncestor(orphan) || newRoots.contains(oldRoot)) continue;
    newRoots[oldRoot] = orphan;
    seeking.erase(orphan);
    if (oldRoot == before.oldestRoot()) plan.newRoot = orphan;
  }
  for (const NodeIndex orphan : orphans) {
    if (!seeking.contains(orphan)) continue;
    const auto above = livingAncestor(orphan);
    const NodeIndex oldRoot = before.rootOf(orphan);
    std::vector<NodeIndex> queue{above ? *above : newRoots.at(oldRoot)};
    for (std::size_t i = 0;; ++i) {
      RC_ASSERT(i < queue.size());
      if (tree.freeSlots(queue[i]) > (seeking.contains(queue[i]) ? 1u : 0u)) {
        RC_ASSERT(tree.link(orphan, queue[i]).ok());
        plan.attachments.push_back({orphan, queue[i]});
        break;
      }
      std::map<JoinOrder, NodeIndex> children;
      for (const NodeIndex child : tree.children(queue[i])) {
        children[tree.member(child).order] = child;
      }
      for (const auto& [order, child] : children) queue.push_back(child);
    }
    seeking.erase(orphan);
  }
  return plan;
}

void checkPlan(const Forest& tree, std::vector<NodeIndex> dead, Random& random) {
  const Plan plan = planFailure(tree, dead);
  const Forest after = apply(tree, plan, dead);
  const auto sound = checkInvariants(after);
  if (!sound) RC_FAIL(sound.error().message);

  const Plan naive = naivePlan(tree, dead);
  RC_ASSERT(plan.attachments == naive.attachments);
  RC_ASSERT(plan.newRoot == naive.newRoot);

  // One tree for each component with survivors, and only orphans have moved.
  const std::set<NodeIndex> isDead(dead.begin(), dead.end());
  std::set<NodeIndex> components;
  std::size_t survivors = 0;
  for (const NodeIndex node : tree.membersByOrder()) {
    if (isDead.contains(node)) continue;
    ++survivors;
    components.insert(tree.rootOf(node));
    RC_ASSERT(after.member(node) == tree.member(node));
    const auto parent = tree.parent(node);
    if (!parent || !isDead.contains(*parent)) RC_ASSERT(after.parent(node) == parent);
  }
  RC_ASSERT(after.size() == survivors);
  RC_ASSERT(after.roots().size() == components.size());

  std::shuffle(dead.begin(), dead.end(), random);
  RC_ASSERT(planFailure(tree, dead).attachments == plan.attachments);
}

}  // namespace

TEST_CASE("the tree equals its naive model after any changes") {
  CHECK(rc::check([](std::uint64_t seed) {
    Random random(seed);
    const auto maxLinks = static_cast<unsigned>(2 + below(random, 4));
    Model model{maxLinks, {}};
    Forest tree(maxLinks);
    const bool indexed = below(random, 2) == 0;
    if (indexed) tree.indexAddresses();
    const auto someone = [&] {
      return std::next(model.peers.begin(),
                       static_cast<std::ptrdiff_t>(below(random, model.peers.size())))
          ->first;
    };
    std::uint64_t highest = 0;
    for (int step = 0; step < 120; ++step) {
      const auto what = below(random, 10);
      if (what < 4 || model.peers.empty()) {
        // Mostly the youngest, sometimes a removed one that comes back.
        const std::uint64_t order = what == 0 ? 1 + below(random, 200) : 1000 + ++highest;
        const std::string name = "s" + std::to_string(order);
        if (model.peers.contains(name)) continue;
        const Endpoint endpoint = randomEndpoint(random);
        const auto rule =
            std::array{Rule::shallowest, Rule::classic, Rule::nearest}[below(random, 3)];
        const auto parent = place(tree, rule, endpoint);
        RC_ASSERT(parent.has_value() == !model.peers.empty());
        model.peers[name] = {order, endpoint, "", {}};
        const NodeIndex node = tree.add({peer(name), JoinOrder{order}, endpoint});
        if (parent && below(random, 4) != 0) {
          RC_ASSERT(model.link(name, nameOf(tree, parent)));
          RC_ASSERT(tree.link(node, *parent).ok());
        }
      } else if (what < 6) {
        const std::string name = someone();
        model.remove(name);
        tree.remove(at(tree, name));
      } else if (what < 9) {
        const std::string child = someone();
        const std::string parent = someone();
        RC_ASSERT(tree.link(at(tree, child), at(tree, parent)).ok() == model.link(child, parent));
      } else {
        const std::string child = someone();
        if (model.peers[child].parent.empty()) continue;
        model.unlink(child);
        tree.unlink(at(tree, child));
      }
      const auto sound = checkInvariants(tree);
      if (!sound) RC_FAIL(sound.error().message);
      RC_ASSERT(textOf(tree) == model.text());
      const Endpoint newcomer = randomEndpoint(random);
      RC_ASSERT(nameOf(tree, place(tree, Rule::nearest, newcomer)) == model.nearest(newcomer));
    }
    Forest copy = tree;
    while (!copy.empty()) copy.remove(copy.membersByOrder()[below(random, copy.size())]);
    RC_ASSERT(checkInvariants(copy).ok());
    RC_ASSERT(textOf(tree) == model.text());
  }));
}

TEST_CASE("a plan makes each component one tree again after any deaths at once") {
  CHECK(rc::check([](std::uint64_t seed) {
    Random random(seed);
    for (int round = 0; round < 10; ++round) {
      const auto maxLinks = static_cast<unsigned>(2 + below(random, 4));
      const Forest tree = randomTree(random, maxLinks, 1 + below(random, 60));
      const std::size_t percent = 1 + below(random, 90);
      std::vector<NodeIndex> dead;
      for (const NodeIndex node : tree.membersByOrder()) {
        if (below(random, 100) < percent) dead.push_back(node);
      }
      checkPlan(tree, dead, random);
    }
  }));
}

TEST_CASE("a plan mends the death of each single peer of many trees") {
  CHECK(rc::check([](std::uint64_t seed) {
    Random random(seed);
    for (unsigned maxLinks = 2; maxLinks <= 5; ++maxLinks) {
      const Forest tree = randomTree(random, maxLinks, 1 + below(random, 25));
      for (const NodeIndex node : tree.membersByOrder()) checkPlan(tree, {node}, random);
    }
  }));
}

TEST_CASE("a tree written as topo.txt and read back is written the same") {
  CHECK(rc::check([](std::uint64_t seed) {
    Random random(seed);
    const auto maxLinks = static_cast<unsigned>(2 + below(random, 4));
    const Forest tree = randomTree(random, maxLinks, 1 + below(random, 40));
    const auto lines = parse(textOf(tree));
    RC_ASSERT(lines.ok());
    const auto back = toTree(*lines, maxLinks);
    if (!back) RC_FAIL(back.error().message);
    RC_ASSERT(textOf(*back) == textOf(tree));
    RC_ASSERT(checkInvariants(*back).ok());
    for (std::size_t i = 1; i < lines->size(); ++i) {
      RC_ASSERT(back->member(back->membersByOrder()[i]).order == JoinOrder{i + 1});
    }
  }));
}

TEST_CASE("a text that can be read is written so that it reads the same") {
  CHECK(rc::check([](const std::vector<unsigned>& choices) {
    const std::array<std::string_view, 12> pieces = {"s1", "s2", "s3", ":", ":  ",  " ",
                                                     "\n", "\n", "x",  "ä", "\xff", "\t"};
    std::string text;
    for (const unsigned choice : choices) text += pieces[choice % pieces.size()];
    const auto lines = parse(text);
    if (!lines) return;
    RC_ASSERT(parse(format(*lines)).value() == *lines);
    if (const auto tree = toTree(*lines, 3); tree.ok()) {
      RC_ASSERT(checkInvariants(*tree).ok());
    }
  }));
}
