// When a network without members may admit its first one. Two networks with members never become
// one, so of metaservers that are linked before they have members only one may do so.
//
//   free --it introduces itself--> waiting --kFoundingWait--> free
//                                    ^ |
//                                    +-+ it sees another one that decides for a network with
//                                        members, or for one without, whose id is lower
//
// By the time that the first wait ends each knows those that the others are linked to, so all but
// the one with the lowest id wait until they follow, or are alone. Who has the lowest id need not
// be the one that is elected: the elected one takes its network over, with its members.
//
// Does no I/O. Not thread-safe. Owned by the coordinator. O(1).
#pragma once

#include <algorithm>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/wire/cluster.h"

namespace espalier::metaserver::cluster {

inline constexpr Duration kFoundingWait = 2 * limits::kMeshBeat;

class Founding {
 public:
  void introduced() { hasIntroduced_ = true; }
  // Before anything is decided. False: nobody was linked, or is about to be.
  bool begin(TimePoint now) {
    if (hasIntroduced_) notBefore_ = now + kFoundingWait;
    hasIntroduced_ = false;
    return notBefore_ != TimePoint::min();
  }
  // Another one that decides for another network.
  void sees(const wire::ServerState& other, const wire::NetworkId& own, TimePoint now) {
    if (other.isFounded || other.network < own) notBefore_ = now + kFoundingWait;
  }
  // It has members.
  void end() { notBefore_ = TimePoint::min(); }
  TimePoint notBefore() const { return notBefore_; }

 private:
  bool hasIntroduced_ = false;  // since begin()
  TimePoint notBefore_ = TimePoint::min();
};

}  // namespace espalier::metaserver::cluster
