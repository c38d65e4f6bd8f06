// Two to seven meshes over a network with faults: what they agree on, and how soon. A seed that
// fails is printed; ESPALIER_TEST_SEED=N runs that one alone.
#include "tests/unit/mesh_network.h"

#include <cstdlib>

#include "metaserver/core/cluster/election.h"

using namespace espalier;
using namespace espalier::metaserver::cluster;
using espalier::test::MeshNetwork;
using namespace std::chrono_literals;

namespace {

// As long as the slowest repair: a run with a clock that was set back is believed at third parties
// once the old one is forgotten, and then its news travels.
constexpr Duration kCalm = limits::kMeshForget + limits::kMeshDeaf + 5s;

void forSeeds(std::uint64_t count, const std::function<void(std::uint64_t)>& test) {
  const char* given = std::getenv("ESPALIER_TEST_SEED");
  const std::uint64_t first = given ? std::strtoull(given, nullptr, 10) : 1;
  for (std::uint64_t seed = first; seed < first + (given ? 1 : count); ++seed) {
    CAPTURE(seed);
    test(seed);
  }
}

// One fault, or the end of some.
void disturb(MeshNetwork& network) {
  const std::size_t one = network.below(network.size());
  const std::size_t other = network.below(network.size());
  switch (network.below(9)) {
    case 0:
      if (network.runs(one)) network.kill(one, network.chance(0.5));
      break;
    case 1:
    case 2:
      if (!network.runs(one)) network.start(one, network.chance(0.3) ? -1h : 0ms);
      break;
    case 3:
      network.cut(one, other);  // one way
      break;
    case 4:
      network.cut(one, other);
      network.cut(other, one);
      break;
    case 5: {  // two sides
      const std::size_t side = network.below(1ull << network.size());
      for (std::size_t i = 0; i < network.size(); ++i) {
        for (std::size_t j = 0; j < network.size(); ++j) {
          if ((side >> i & 1) != (side >> j & 1)) network.cut(i, j);
        }
      }
      break;
    }
    case 6:
      network.healAll();
      break;
    case 7:
      network.stall(one, network.within(200ms, 9s));
      break;
    case 8:
      network.breakOne();
      break;
  }
}

void disturbFor(MeshNetwork& network, Duration time) {
  const TimePoint end = network.now() + time;
  while (network.now() < end) {
    disturb(network);
    network.run(network.chance(0.3) ? network.within(0ms, 100ms) : network.within(100ms, 3s));
  }
}

// The distance over links that can be up; 0: none.
unsigned distance(const MeshNetwork& network, std::size_t from, std::size_t to) {
  std::map<std::size_t, unsigned> found{{from, 0}};
  for (std::deque<std::size_t> queue{from}; !queue.empty(); queue.pop_front()) {
    for (std::size_t i = 0; i < network.size(); ++i) {
      if (!network.canLink(queue.front(), i) || found.contains(i)) continue;
      found[i] = found[queue.front()] + 1;
      queue.push_back(i);
    }
  }
  return found.contains(to) ? found[to] : 0;
}

// Each reaches exactly those that it can, on a shortest way, and messages arrive that way.
void checkWays(const MeshNetwork& network) {
  for (std::size_t i = 0; i < network.size(); ++i) {
    if (!network.runs(i)) continue;
    std::map<std::size_t, unsigned> hops;
    for (const auto& one : network.mesh(i).reachable()) {
      hops[network.indexOf(one.state.number)] = one.way.hops;
    }
    for (std::size_t j = 0; j < network.size(); ++j) {
      if (i == j) continue;
      CAPTURE(i);
      CAPTURE(j);
      const unsigned expected = network.runs(j) ? distance(network, i, j) : 0;
      CHECK(hops[j] == expected);
      std::size_t at = i;
      for (unsigned hop = 0; hop < expected; ++hop) {
        const auto next = network.mesh(at).next(network.numberOf(j));
        REQUIRE(next);
        CHECK(network.canLink(at, network.indexOf(*next)));
        at = network.indexOf(*next);
      }
      if (expected > 0) CHECK(at == j);
    }
  }
}

std::string electedAt(const MeshNetwork& network, std::size_t i, ElectionRule rule) {
  std::vector<Candidate> candidates{candidateOf(network.mesh(i).self())};
  for (const auto& one : network.mesh(i).reachable()) candidates.push_back(candidateOf(one.state));
  const Candidate* master = best(rule, candidates, std::nullopt);
  return master ? master->name.text() : "nobody";
}

void checkAgreement(const MeshNetwork& network) {
  for (std::size_t i = 0; i < network.size(); ++i) {
    for (const auto rule : {ElectionRule::oldest, ElectionRule::address}) {
      CHECK(electedAt(network, i, rule) == electedAt(network, 0, rule));
    }
    for (std::size_t j = 0; j < network.size(); ++j) {
      if (i == j) continue;
      CAPTURE(i);
      CAPTURE(j);
      CHECK(network.keepSame(i, j));
      CHECK(network.connectionsBetween(i, j) == 1);
    }
    for (const auto& one : network.mesh(i).reachable()) {
      const auto& itself = network.mesh(network.indexOf(one.state.number)).self();
      CHECK(one.state.started == itself.started);
      CHECK(one.state.sequence + 3 >= itself.sequence);
    }
  }
}

bool hasTold(const MeshNetwork& network, std::size_t i, std::string_view words) {
  for (const auto& told : network.told(i)) {
    if (told.text.find(words) != std::string::npos) return true;
  }
  return false;
}

std::size_t sizeOf(std::uint64_t seed) {
  return 2 + seed % 6;
}

}  // namespace

TEST_CASE("all metaservers that are started find each other, and nobody is lost meanwhile") {
  forSeeds(40, [](std::uint64_t seed) {
    MeshNetwork network(sizeOf(seed), seed);
    network.run(5s);
    checkWays(network);
    checkAgreement(network);
    for (std::size_t i = 0; i < network.size(); ++i) {
      CAPTURE(i);
      CHECK_FALSE(hasTold(network, i, "dead"));
      CHECK(network.told(i).size() >= network.size() - 1);
    }
  });
}

TEST_CASE("whatever happened before, lasting faults leave those that can reach each other") {
  forSeeds(40, [](std::uint64_t seed) {
    MeshNetwork network(sizeOf(seed), seed);
    network.run(5s);
    disturbFor(network, 40s);
    network.run(kCalm);
    checkWays(network);
  });
}

TEST_CASE("when all faults have ended all are linked and agree, and then nothing happens") {
  forSeeds(40, [](std::uint64_t seed) {
    MeshNetwork network(sizeOf(seed), seed);
    disturbFor(network, 60s);
    network.healAll();
    for (std::size_t i = 0; i < network.size(); ++i) {
      if (!network.runs(i)) network.start(i);
    }
    network.run(kCalm);
    checkWays(network);
    checkAgreement(network);
    network.forgetTold();
    network.run(20s);
    for (std::size_t i = 0; i < network.size(); ++i) CHECK(network.told(i).empty());
    checkAgreement(network);
  });
}

TEST_CASE("a death is known everywhere at once if connections end, else after two seconds") {
  forSeeds(40, [](std::uint64_t seed) {
    const bool silently = seed % 2 == 0;
    MeshNetwork network(sizeOf(seed), seed);
    network.run(10s);
    network.forgetTold();
    const std::size_t dead = network.below(network.size());
    network.kill(dead, silently);
    if (silently) {
      // The last beat was under way or half a second old.
      network.run(limits::kMeshSilence - limits::kMeshBeat);
      for (std::size_t i = 0; i < network.size(); ++i) {
        CAPTURE(i);
        if (i != dead) CHECK(network.mesh(i).reachable().size() == network.size() - 1);
      }
      network.run(limits::kMeshBeat);
    }
    network.run(300ms);
    for (std::size_t i = 0; i < network.size(); ++i) {
      if (i == dead) continue;
      CAPTURE(i);
      CHECK(network.mesh(i).reachable().size() == network.size() - 2);
      CHECK(hasTold(network, i, silently ? "is dead (no sign of life for 2 s)" : "is dead ("));
    }
  });
}

TEST_CASE("two that are cut from each other go on by way of a third, and nobody is called dead") {
  forSeeds(40, [](std::uint64_t seed) {
    MeshNetwork network(3 + seed % 5, seed);
    network.run(10s);
    network.forgetTold();
    const std::size_t one = network.below(network.size());
    const std::size_t other = (one + 1 + network.below(network.size() - 1)) % network.size();
    network.cut(one, other);
    if (seed % 2 == 0) network.cut(other, one);
    network.run(kCalm);
    checkWays(network);
    for (std::size_t i = 0; i < network.size(); ++i) CHECK_FALSE(hasTold(network, i, "dead"));
    network.healAll();
    network.run(kCalm);
    checkAgreement(network);
  });
}

TEST_CASE("who stood still calls nobody dead for it, and short stalls are not even noticed") {
  forSeeds(40, [](std::uint64_t seed) {
    const bool isShort = seed % 2 == 0;
    MeshNetwork network(sizeOf(seed), seed);
    network.run(10s);
    network.forgetTold();
    const std::size_t stalled = network.below(network.size());
    for (int i = 0; i < 10; ++i) {
      network.stall(stalled, isShort ? network.within(100ms, 1200ms) : network.within(2s, 20s));
      network.run(isShort ? 4s : 30s);
    }
    CHECK_FALSE(hasTold(network, stalled, "no sign of life"));
    for (std::size_t i = 0; i < network.size(); ++i) {
      CAPTURE(i);
      if (isShort) CHECK(network.told(i).empty());
    }
    network.run(kCalm);
    checkWays(network);
  });
}

TEST_CASE("one that was started again is known as its new run, also if its clock was set back") {
  forSeeds(40, [](std::uint64_t seed) {
    MeshNetwork network(sizeOf(seed), seed);
    network.run(10s);
    const std::size_t again = network.below(network.size());
    network.kill(again, seed % 3 == 0);
    network.run(network.within(10ms, 5s));
    network.start(again, seed % 2 == 0 ? -1h : 0ms);
    network.run(10s);
    checkWays(network);
    checkAgreement(network);
  });
}
