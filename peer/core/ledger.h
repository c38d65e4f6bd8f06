// Who holds what of one push: an entry a peer. Every peer of the network keeps one, and they become
// the same, in whatever order and however often entries travel.
//
//   offered -> accepted -> lost -> failed -> declined -> verified      within a version
//
// Merging takes the greater of two entries about a peer (wire::PushEntry's order: the version
// first), so ledgers are a join-semilattice: merging is commutative, associative and idempotent,
// and nothing in it is counted, so nothing is counted twice. Only the peer itself raises its
// version, when it comes back or has to contradict.
//
// Invariant: no entry ever becomes smaller. Bound: limits::kLedgerEntries peers; who comes beyond
// that is left out (which of them then depends on the order). A liar can say anything of a peer
// that does not hear it: entries are not signed. Does no I/O, not thread-safe, O(log n) an entry.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "common/wire/push.h"

namespace espalier::peer {

class Ledger {
 public:
  // Whether it says more than before.
  bool merge(const wire::PushEntry& entry);

  const wire::PushEntry* find(const PeerId& id) const;
  const std::map<PeerId, wire::PushEntry>& entries() const { return entries_; }
  std::size_t size() const { return entries_.size(); }
  std::size_t count(wire::PushState state) const {
    return counts_[static_cast<std::size_t>(state)];
  }
  bool operator==(const Ledger& other) const { return entries_ == other.entries_; }

 private:
  std::map<PeerId, wire::PushEntry> entries_;
  std::array<std::size_t, 6> counts_{};
};

}  // namespace espalier::peer
