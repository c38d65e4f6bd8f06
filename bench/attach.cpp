// What it costs to attach a joiner (find a parent, add it, link it) in a network of 10^3 … 10^6
// peers. JSON on standard output, a table on standard error.
//
//   bench/attach [ROUNDS]
//
// Each case grows a network to its size, and then times rounds of joiners. Their ids are made
// before the timed part.
//   growing   no peer leaves
//   leaving   before each round as many random peers leave, and their children are attached again,
//             so that free slots are scattered over the tree
// `build` is the mean over all joiners since the first, which includes the growth of tables.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "topo/forest.h"
#include "topo/placement.h"

using namespace espalier;
using namespace espalier::topo;

namespace {

using Clock = std::chrono::steady_clock;

struct Case {
  unsigned maxLinks;
  Rule rule;
  std::size_t peers;
  double buildNs = 0;
  double growingNs = 0;  // medians
  double growingMaxNs = 0;
  double leavingNs = 0;
};

class Network {
 public:
  Network(unsigned maxLinks, Rule rule) : tree_(maxLinks), rule_(rule) {
    if (rule == Rule::nearest) tree_.indexAddresses();
  }

  // Returns nanoseconds for a joiner.
  double attach(std::size_t count) {
    std::vector<Member> joiners;
    joiners.reserve(count);
    for (std::size_t i = 0; i < count; ++i) joiners.push_back(next());
    const auto start = Clock::now();
    for (Member& joiner : joiners) attachOne(std::move(joiner));
    const std::chrono::duration<double, std::nano> took = Clock::now() - start;
    return took.count() / static_cast<double>(count);
  }

  void depart(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const NodeIndex node = pick();
      std::vector<NodeIndex> orphans;
      for (const NodeIndex child : tree_.children(node)) orphans.push_back(child);
      const auto parent = tree_.parent(node);
      tree_.remove(node);
      for (const NodeIndex orphan : orphans) {
        const auto place = parent ? shallowestBelow(tree_, *parent) : tree_.shallowestSlot();
        if (place && tree_.rootOf(*place) != orphan && !tree_.link(orphan, *place)) std::abort();
      }
    }
  }

 private:
  Member next() {
    ++last_;
    return {PeerId::parse(fmt::format("peer{}", last_)).value(),
            JoinOrder{last_},
            {fmt::format("127.{}.{}.{}", last_ % 32, last_ / 32 % 256, last_ / 8192 % 256),
             static_cast<std::uint16_t>(5001 + last_ % 60'000)}};
  }

  void attachOne(Member joiner) {
    const auto parent = place(tree_, rule_, joiner.endpoint);
    const NodeIndex node = tree_.add(std::move(joiner));
    if (parent && !tree_.link(node, *parent)) std::abort();
  }

  // A peer near the leaves. One near the root would take long, though untimed: its whole subtree
  // moves.
  NodeIndex pick() {
    while (true) {
      const NodeIndex node{static_cast<std::uint32_t>(random_() % tree_.indexEnd())};
      if (tree_.isMember(node) && tree_.parent(node) && tree_.children(node).size() <= 1 &&
          (tree_.children(node).empty() || tree_.maxLinks() > 2)) {
        const auto children = tree_.children(node);
        if (children.empty() || tree_.children(children.front()).empty()) return node;
      }
    }
  }

  Forest tree_;
  Rule rule_;
  std::uint64_t last_ = 0;
  std::mt19937_64 random_{1};
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void measure(Case& one, unsigned rounds) {
  // A round changes the size by a fiftieth at most, so a small network is used for one round only.
  const std::size_t joiners = std::min<std::size_t>(one.peers / 50, 2000);
  const bool isSmall = one.peers <= 10'000;
  const unsigned networks = isSmall ? 5 * rounds : 1;
  const unsigned batches = isSmall ? 1 : rounds;
  std::vector<double> building;
  std::vector<double> growing;
  std::vector<double> leaving;
  for (unsigned i = 0; i < networks; ++i) {
    Network network(one.maxLinks, one.rule);
    building.push_back(network.attach(one.peers));
    for (unsigned batch = 0; batch < batches; ++batch) growing.push_back(network.attach(joiners));
    // In a line every peer but the two leaves moves a large part of the network when it leaves.
    if (one.maxLinks == 2 || one.rule == Rule::classic) continue;
    for (unsigned batch = 0; batch < batches; ++batch) {
      network.depart(joiners);
      leaving.push_back(network.attach(joiners));
    }
  }
  one.buildNs = median(building);
  one.growingNs = median(growing);
  one.growingMaxNs = *std::max_element(growing.begin(), growing.end());
  if (!leaving.empty()) one.leavingNs = median(leaving);
}

}  // namespace

int main(int argc, char** argv) {
  const unsigned rounds = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 15;
  fmt::print(
      stderr,
      "nanoseconds for a joiner, median of rounds\n{:>5} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8}\n",
      "links", "placement", "peers", "build", "growing", "slowest", "leaving");
  std::string json;
  for (const Rule rule : {Rule::shallowest, Rule::classic, Rule::nearest}) {
    for (const unsigned maxLinks : {2u, 3u, 8u}) {
      for (const std::size_t peers : {1'000u, 10'000u, 100'000u, 1'000'000u}) {
        Case one{maxLinks, rule, peers};
        measure(one, std::max(rounds, 1u));
        fmt::print(stderr, "{:>5} {:>10} {:>8} {:>8.0f} {:>8.0f} {:>8.0f} {:>8.0f}\n", maxLinks,
                   name(rule), peers, one.buildNs, one.growingNs, one.growingMaxNs, one.leavingNs);
        json += fmt::format(
            "{}{{\"links\":{},\"placement\":\"{}\",\"peers\":{},\"buildNs\":{:.0f},"
            "\"growingNs\":{:.0f},\"leavingNs\":{:.0f}}}",
            json.empty() ? "" : ",", maxLinks, name(rule), peers, one.buildNs, one.growingNs,
            one.leavingNs);
      }
    }
  }
  fmt::print("{{\"bench\":\"attach\",\"cases\":[{}]}}\n", json);
}
