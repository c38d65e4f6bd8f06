// Random trees, cuts, heals, deaths and silences during several searches. The tests check the end
// of each schedule; tests/unit/search_network.h checks each step.
#include <doctest/doctest.h>

#include <cstdlib>

#include "tests/unit/search_network.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::testing;

namespace {

std::set<std::size_t> reachable(Network& network, std::size_t from) {
  std::set<std::size_t> seen{from};
  std::vector<std::size_t> open{from};
  while (!open.empty()) {
    const auto at = open.back();
    open.pop_back();
    for (const auto& [next, link] : network[at].links) {
      if (seen.insert(next).second) open.push_back(next);
    }
  }
  return seen;
}

bool covers(const SearchResult& result, const std::string& holder) {
  for (const auto& file : result.files) {
    for (const auto& one : file.holders) {
      if (one.id.text() == holder) return true;
    }
  }
  return false;
}

// Cuts a random link, and some time later joins the two parts by other peers.
void cutAndHeal(Network& network, Duration healsAfter) {
  auto& random = network.random();
  const auto a = random() % network.size();
  if (network[a].links.empty()) return;
  auto other = network[a].links.begin();
  std::advance(other, static_cast<std::ptrdiff_t>(random() % network[a].links.size()));
  const auto b = other->first;
  network.cut(a, b, std::chrono::milliseconds(random() % 200));
  network.after(healsAfter, [&network, a, b] {
    const auto partA = reachable(network, a);
    if (partA.contains(b)) return;
    const auto partB = reachable(network, b);
    const auto pick = [&](const std::set<std::size_t>& part) {
      auto at = part.begin();
      std::advance(at, static_cast<std::ptrdiff_t>(network.random()() % part.size()));
      return *at;
    };
    network.connect(pick(partA), pick(partB));
  });
}

}  // namespace

TEST_CASE("a peer that can be reached all the time is covered, whatever happens to others") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Network network(seed);
    auto& random = network.random();
    network.tree(3 + random() % 30, 2 + random() % 3);
    const auto asker = random() % network.size();
    for (std::size_t i = 0; i < network.size(); ++i) {
      network[i].matchTakes = std::chrono::milliseconds(1 + random() % 1500);
    }
    // These die or fall silent. Peers that stay connected without them must be covered.
    std::vector<QueryId> queries;
    for (int i = 0; i < 3; ++i) queries.push_back(network.ask(asker));
    for (std::uint64_t deaths = random() % 4; deaths > 0; --deaths) {
      const auto victim = random() % network.size();
      if (victim == asker) continue;
      const auto when = std::chrono::milliseconds(random() % 2000);
      if (random() % 2 == 0) {
        network.after(when, [&network, victim] { network.kill(victim); });
      } else {
        network.after(when, [&network, victim] { network[victim].isSilent = true; });
      }
    }
    std::vector<SearchResult> results;
    for (const auto& id : queries) results.push_back(network.resultOf(id));
    // Nothing heals here, so a peer that can be reached at the end could always be reached.
    std::set<std::size_t> alive{asker};
    std::vector<std::size_t> open{asker};
    while (!open.empty()) {
      const auto at = open.back();
      open.pop_back();
      for (const auto& [next, link] : network[at].links) {
        if (network[next].isDead || network[next].isSilent) continue;
        if (alive.insert(next).second) open.push_back(next);
      }
    }
    for (const auto& result : results) {
      CHECK(result.searched >= alive.size());
      for (const auto i : alive) CHECK(covers(result, network[i].id.text()));
    }
  }
}

TEST_CASE("a tree that is cut and healed at random places is searched whole") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Network network(seed);
    auto& random = network.random();
    network.tree(4 + random() % 28, 2 + random() % 3);
    for (std::size_t i = 0; i < network.size(); ++i) {
      network[i].matchTakes = std::chrono::milliseconds(1 + random() % 1000);
    }
    const auto id = network.ask(random() % network.size());
    const auto first = network.random()() % 800;
    network.after(std::chrono::milliseconds(first), [&] { cutAndHeal(network, 400ms); });
    if (random() % 2 == 0) {
      network.after(std::chrono::milliseconds(first + 700), [&] { cutAndHeal(network, 300ms); });
    }
    const auto result = network.resultOf(id);
    CHECK(result.searched == network.size());
    CHECK(result.files.size() == network.size() + 1);
    for (std::size_t i = 0; i < network.size(); ++i) CHECK(network[i].jobs == 1);
  }
}

TEST_CASE("random links, even in cycles, neither overcount nor relay for ever") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    Network network(seed);
    auto& random = network.random();
    const auto size = 3 + random() % 15;
    network.tree(size, 3);
    for (std::uint64_t i = random() % 6; i > 0; --i) {
      const auto a = random() % size;
      const auto b = random() % size;
      if (a != b && !network.areLinked(a, b)) network.connect(a, b);
    }
    const auto id = network.ask(random() % size);
    for (int i = 0; i < 6; ++i) {
      network.after(std::chrono::milliseconds(random() % 1500), [&network] {
        cutAndHeal(network, std::chrono::milliseconds(network.random()() % 500));
      });
    }
    const auto result = network.resultOf(id);
    CHECK(result.searched <= size);
    network.run(10s);
    // A circle that lost its asker may adopt itself limits::kAdoptions times before it gives up.
    CHECK(network.messages < 1000 * size);
    for (std::size_t i = 0; i < size; ++i) {
      CHECK(network[i].jobs <= 1);
      CHECK(network[i].searches->openCount() == 0);
    }
  }
}
