// A copy of the registry for readers of all members: the files' writer and the commands. It is
// updated page by page (Registry::takeChanges), so that the registry's mutex is never held for
// O(members).
//
//   behind --apply() of the last page--> equal to the registry at that moment --a change--> behind
//
// A value, owned by RegistryFollower. Does no I/O. Not thread-safe. apply() costs O(page log n),
// the rest O(n) unless said.
#pragma once

#include <map>
#include <unordered_map>
#include <vector>

#include "metaserver/core/registry.h"
#include "topo/forest.h"
#include "topo/topo_file.h"

namespace espalier::metaserver {

class RegistryCopy {
 public:
  void apply(MemberChanges changes);

  const std::map<JoinOrder, MemberRow>& rows() const { return rows_; }
  // The links of a member that both ends have reported, in order of linking. O(links).
  std::vector<PeerId> linksOf(const MemberRow& row) const;
  // For topo.txt, in order of joining.
  std::vector<topo::TopoLine> lines() const;
  // Registry::tree(). O(n log n).
  topo::Forest tree(unsigned maxLinks) const;
  // For the state file: the members and the `lost` ones, by order.
  std::vector<Remembered> remembered(std::vector<Remembered> lost) const;

 private:
  std::map<JoinOrder, MemberRow> rows_;
  std::unordered_map<PeerId, JoinOrder> orders_;
};

}  // namespace espalier::metaserver
