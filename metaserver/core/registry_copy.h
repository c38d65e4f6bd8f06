// A copy of the registry for readers of all members: the files' writer, the commands, and the
// metaservers that do not run the registry (cluster/directory.h). It is updated page by page
// (Registry::takeChanges), so that the registry's mutex is never held for O(members).
//
//   behind --apply() of the last page--> equal to the registry at that moment --a change--> behind
//
// Invariants: a row's order is the key that it has; an id leads to the last row put under it.
//
// A value, owned by RegistryFollower or a Directory. Its rows are shared with whoever put them.
// Does no I/O. Not thread-safe. apply() costs O(page log n), the rest O(n) unless said. Some 100
// bytes a member beside its row.
#pragma once

#include <cstddef>
#include <map>
#include <unordered_set>
#include <vector>

#include "metaserver/core/registry.h"
#include "topo/forest.h"
#include "topo/topo_file.h"

namespace espalier::metaserver {

class RegistryCopy {
 public:
  void apply(MemberChanges changes);
  // Adds or replaces the row of its order. O(log n).
  void put(SharedRow row);
  // False: no row has this order. O(log n).
  bool remove(JoinOrder order);

  const std::map<JoinOrder, SharedRow>& rows() const { return rows_; }
  // Null: there is no such member. O(log n), O(1).
  const MemberRow* find(JoinOrder order) const;
  const MemberRow* find(const PeerId& id) const;
  // The links of a member that both ends have reported, in order of linking. O(links).
  std::vector<PeerId> linksOf(const MemberRow& row) const;
  // For topo.txt, in order of joining.
  std::vector<topo::TopoLine> lines() const;
  wire::TopologyEntry entry(const MemberRow& row) const;
  // Registry::entries(). O(entries returned).
  std::vector<wire::TopologyEntry> entries(JoinOrder after, std::size_t mostBytes,
                                           bool& more) const;
  // Registry::tree(). O(n log n).
  topo::Forest tree(unsigned maxLinks) const;
  // For the state file: the members and the `lost` ones, by order.
  std::vector<Remembered> remembered(std::vector<Remembered> lost) const;

 private:
  void forget(const MemberRow& row);

  // A row under its id, with the id's hash: so a search reads no row that has another one.
  struct Named {
    std::size_t hash;
    mutable const MemberRow* row;  // replaced by rows of the same id only
  };
  struct Sought {
    explicit Sought(const PeerId& which) : hash(std::hash<PeerId>()(which)), id(which) {}
    std::size_t hash;
    const PeerId& id;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const auto& one) const { return one.hash; }
  };
  struct Equal {
    using is_transparent = void;
    static const PeerId& idOf(const Named& named) { return named.row->contact.id; }
    static const PeerId& idOf(const Sought& sought) { return sought.id; }
    bool operator()(const auto& a, const auto& b) const {
      return a.hash == b.hash && idOf(a) == idOf(b);
    }
  };

  std::map<JoinOrder, SharedRow> rows_;
  std::unordered_set<Named, Hash, Equal> byId_;  // of rows_
};

}  // namespace espalier::metaserver
