// The members as the registry has them, copied for whoever looks at all of them: the files' writer
// and the commands. So the registry's mutex is never held for as long as it takes to go through the
// whole network: a page of what has changed is copied at a time (Registry::takeChanges).
//
// After catchUp() it is the registry as it was at one moment. Not thread-safe: its owner guards it.
// Lock order: the directory, then the registry.
#pragma once

#include <map>
#include <unordered_map>
#include <vector>

#include "common/base/guarded.h"
#include "common/command/network_commands.h"
#include "metaserver/core/registry.h"
#include "topo/topo_file.h"

namespace espalier::metaserver::shell {

class Directory {
 public:
  // What the registry said at the moment that this is a copy of.
  struct Moment {
    std::uint64_t version = 0;
    bool awaiting = false;
    wire::NetworkId network;
    JoinOrder nextOrder{1};
  };

  Moment catchUp(Guarded<std::unique_ptr<Registry>>& registry);

  // Links that both ends have reported, in order of joining and of linking. O(n).
  std::vector<topo::TopoLine> lines() const;
  command::Topology topology() const;
  // The tree with what is reserved in it, as places are given by it. O(n log n).
  topo::Tree tree(unsigned maxLinks) const;
  // For the state file, together with those that were `lost`, by order, too.
  std::vector<Remembered> remembered(std::vector<Remembered> lost) const;

 private:
  void apply(MemberChanges changes);
  std::vector<PeerId> linksOf(const MemberRow& row) const;

  std::map<JoinOrder, MemberRow> rows_;
  std::unordered_map<PeerId, JoinOrder> orders_;
};

}  // namespace espalier::metaserver::shell
