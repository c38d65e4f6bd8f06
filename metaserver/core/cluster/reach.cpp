#include "metaserver/core/cluster/reach.h"

#include <algorithm>
#include <cstddef>

namespace espalier::metaserver::cluster {
namespace {

bool lists(const Heard& from, const Heard& to) {
  return std::binary_search(from.list.begin(), from.list.end(), to.number);
}

bool isUp(const Heard& a, const Heard& b) {
  return lists(a, b) && lists(b, a);
}

}  // namespace

std::vector<Way> reach(const Heard& self, std::span<const Heard> others) {
  std::vector<Way> ways(others.size());
  std::size_t reached = 0;
  // Layer by layer. A layer is walked in the order of the first metaservers of its ways, so the
  // lowest of them wins for the next layer.
  struct Step {
    const Heard* at;
    ServerNumber first;
  };
  std::vector<Step> layer{{&self, kNoServer}};
  for (unsigned hops = 1; !layer.empty(); ++hops) {
    std::vector<Step> next;
    for (const auto& [at, first] : layer) {
      for (std::size_t i = 0; i < others.size(); ++i) {
        const Heard& to = others[i];
        if (ways[i].hops != 0 || to.age >= freshFor(hops) || !isUp(*at, to)) continue;
        if (reached == limits::kMetaservers - 1) return ways;
        ++reached;
        ways[i] = {hops, hops == 1 ? to.number : first};
        next.push_back({&to, ways[i].next});
      }
    }
    layer = std::move(next);
  }
  return ways;
}

}  // namespace espalier::metaserver::cluster
