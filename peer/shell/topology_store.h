// The metaserver's topology snapshots: the last one is kept, so that there is something to show
// when the metaserver is out of reach.
//
// The last snapshot is renewed half a second after a link came or went (by then both ends have
// reported it to the metaserver), and every 10 s. In a network of more than 256 peers that would
// keep the metaserver busy; there only snapshots that a command asked for are kept.
//
// Thread rule: fetch() and current() block and are called from command threads; last() from any;
// the timer runs on the loop's thread.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <vector>

#include "common/base/guarded.h"
#include "common/base/result.h"
#include "common/wire/registry.h"
#include "peer/shell/loop_timer.h"
#include "peer/shell/runtime.h"

namespace espalier::peer::shell {

struct TopologySnapshot {
  std::vector<wire::TopologyEntry> entries;
  std::chrono::system_clock::time_point at;
};

class TopologyStore final : private LoopTimer {
 public:
  // Before runtime.start(); the runtime's loop must have ended when the store is destroyed.
  explicit TopologyStore(Runtime& runtime);

  // Asks the metaserver for all of it.
  Result<TopologySnapshot> fetch(std::stop_token stop);
  // The same, or the last snapshot when the metaserver is out of reach.
  Result<TopologySnapshot> current(std::stop_token stop);
  // Null until there is one. A snapshot is large: it is copied outside the lock.
  std::shared_ptr<const TopologySnapshot> last() const;

 private:
  TimePoint deadline() const override { return renewAt_; }
  void tick(TimePoint now) override;
  void keep(TopologySnapshot snapshot);

  Runtime& runtime_;
  TimePoint renewAt_ = kNever;  // the loop's thread only, as the next one
  bool largeNetwork_ = false;
  Guarded<std::shared_ptr<const TopologySnapshot>> last_;
};

}  // namespace espalier::peer::shell
