// Which metaservers this one can reach, and how: shortest ways over links that are up.
//
// A link is up if the latest states of both ends list each other as heard. So a link that works in
// one direction only is down for everybody who has both states. A state counts while it is fresh:
// limits::kMeshSilence after its last news, and limits::kMeshBeat more for each further hop,
// because news travels one hop a beat.
//
// A pure function. O(n * n * log n) for n states; the mesh keeps some 30 at most.
#pragma once

#include <span>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/limits.h"

namespace espalier::metaserver::cluster {

// How a metaserver is reached.
struct Way {
  unsigned hops = 0;              // 0: out of reach
  ServerNumber next = kNoServer;  // the first of the way: the metaserver itself if hops is 1

  bool operator==(const Way&) const = default;
};

// A metaserver, as its latest state describes it.
struct Heard {
  ServerNumber number{};
  std::span<const ServerNumber> list;  // whom it hears: rising
  Duration age{};                      // since the last news of it
};

// How long a state counts without news.
constexpr Duration freshFor(unsigned hops) {
  return limits::kMeshSilence + limits::kMeshBeat * (hops > 0 ? hops - 1 : 0);
}

// The ways to `others` (by rising number, each once, without `self`), in the same order. Of several
// shortest ways it is the one whose first metaserver has the lowest number. At most
// limits::kMetaservers - 1 are reached: the nearest, of equally near ones those whose ways begin
// with the lowest numbers. `self.age` does not count.
std::vector<Way> reach(const Heard& self, std::span<const Heard> others);

}  // namespace espalier::metaserver::cluster
