// Private messages between peers that crash, lose connections and lose ids to others: seeded runs,
// and the same with faults, which must be found.
#include <doctest/doctest.h>

#include "tests/unit/private_world.h"

using namespace espalier;
using namespace espalier::test;
using namespace std::chrono_literals;
using Fault = PrivateWorld::Fault;
using Kind = peer::PrivateUpdate::Kind;

namespace {

// What went wrong in a run; empty: nothing.
std::string run(std::uint64_t seed, Fault fault) {
  PrivateWorld world(seed, fault);
  constexpr unsigned kPeers = 3;
  for (unsigned i = 0; i < kPeers; ++i) world.add(i, fmt::format("s{}", i));
  // Instance 7 takes the id of s0 when that is away. Nobody writes to it: all know s0 before.
  struct Sent {
    unsigned from = 0;
    unsigned to = 0;
    std::uint64_t request = 0;
    std::string text;
  };
  std::vector<Sent> sent;
  for (unsigned from = 0; from < kPeers; ++from) {
    for (unsigned to = 0; to < kPeers; ++to) {
      if (from == to) continue;
      const std::string text = fmt::format("{} to {}: {}", from, to, sent.size());
      sent.push_back({from, to, world.send(world.nodes[from], fmt::format("s{}", to), text), text});
    }
  }
  world.run(10s);
  std::set<std::string> delivered;
  const auto collect = [&] {
    for (const auto& each : sent) {
      const auto* update = world.update(world.nodes[each.from], each.request);
      if (update == nullptr || update->kind != Kind::delivered) continue;
      if (!delivered.insert(each.text).second) continue;
      const auto there = world.textsOn(world.nodes[each.to], false);
      if (std::find(there.begin(), there.end(), each.text) == there.end()) {
        world.problems.push_back("delivered, and not durable: " + each.text);
      }
    }
  };
  const auto away = [&] {
    return std::any_of(world.nodes.begin(), world.nodes.end(),
                       [](const auto& each) { return each.first != 7 && !each.second.core; });
  };
  for (int i = 0; i < 400; ++i) {
    const unsigned from = static_cast<unsigned>(world.random() % kPeers);
    const unsigned to = (from + 1 + static_cast<unsigned>(world.random() % 2)) % kPeers;
    auto& node = world.nodes[from];
    switch (world.random() % 12) {
      case 0:
      case 1:
      case 2: {
        if (!node.core) break;
        const std::string text = fmt::format("{} to {}: {}", from, to, sent.size());
        const auto id = fmt::format("s{}", to);
        sent.push_back({from, to, world.send(node, id, text), text});
        break;
      }
      case 3:
        if (node.core && !away()) world.crash(node);
        break;
      case 4:
      case 5:
        if (!node.core && !(from == 0 && world.nodes.contains(7) && world.nodes[7].core)) {
          world.start(node);
        }
        break;
      case 6:
        world.cutOne();
        break;
      case 7:
        if (world.nodes.contains(7) && world.nodes[7].core) {
          world.crash(world.nodes[7]);
        } else if (!world.nodes[0].core && world.nodes.contains(7)) {
          world.start(world.nodes[7]);
        } else if (!world.nodes[0].core) {
          world.add(7, "s0");
        }
        break;
      case 8:
        node.isDiskStuck = !node.isDiskStuck;
        break;
      default:
        world.run(std::chrono::milliseconds(world.random() % 3000));
    }
    collect();
  }
  if (world.nodes.contains(7)) {
    if (!world.nodes[7].disk.rows.empty()) world.problems.push_back("another instance got it");
    if (world.nodes[7].core) world.crash(world.nodes[7]);
  }
  for (auto& [number, node] : world.nodes) {
    if (number == 7) continue;
    node.isDiskStuck = false;
    if (!node.core) world.start(node);
  }
  world.run(5min);
  collect();
  for (auto& [number, node] : world.nodes) {
    if (number == 7) continue;
    if (node.core->book().waitingCount() != 0) world.problems.push_back("a message waits for ever");
    std::map<std::string, std::size_t> last;
    for (const auto& text : world.textsOn(node, false)) {
      const auto colon = text.find(": ");
      const std::string way = text.substr(0, colon);
      const std::size_t count = std::stoul(text.substr(colon + 2));
      if (!way.ends_with(fmt::format("to {}", number))) world.problems.push_back("not for it");
      if (last.contains(way) && last[way] >= count) {
        world.problems.push_back("out of order, or twice: " + text);
      }
      last[way] = count;
    }
  }
  // What was durable at its sender has arrived.
  for (const auto& each : sent) {
    const auto kept = world.textsOn(world.nodes[each.from], true);
    const auto there = world.textsOn(world.nodes[each.to], false);
    const bool wasKept = std::find(kept.begin(), kept.end(), each.text) != kept.end();
    const bool isThere = std::find(there.begin(), there.end(), each.text) != there.end();
    if (wasKept && !isThere) world.problems.push_back("lost: " + each.text);
  }
  return world.problems.empty() ? "" : world.problems.front();
}

std::size_t runsThatFind(Fault fault, std::uint64_t seeds) {
  std::size_t found = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) found += run(seed, fault).empty() ? 0 : 1;
  return found;
}

}  // namespace

TEST_CASE("whatever crashes and breaks: each message arrives once, in order, at its instance") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    CHECK(run(seed, Fault::none) == "");
  }
}

TEST_CASE("planted faults of private messages are found") {
  CHECK(runsThatFind(Fault::acknowledgesEarly, 20) >= 5);
  CHECK(runsThatFind(Fault::forgetsReceived, 20) >= 5);
  CHECK(runsThatFind(Fault::forgetsSent, 20) >= 5);
  CHECK(runsThatFind(Fault::otherInstance, 20) >= 5);
}
