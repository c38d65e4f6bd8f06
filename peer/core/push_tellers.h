// Which neighbours told the entries of a ledger. The sender of a push keeps this: in a tree the
// entries of a peer arrive over one link only, the one that leads to the peer. If two links tell of
// the same peer, one of them lies, or the peer has moved in the tree. The shell, which knows the
// tree from the metaserver, takes the entry of the link that leads to the peer (push_report.h).
//
//   told by nobody else --told() by another neighbour, with a greater entry--> contested
//        ^                                                                       |
//        +------ told() by the peer itself, which is a neighbour ----------------+
//
// Invariant: a contested peer has the entry of each neighbour that told of it, the last of each.
//
// A value, owned by OpenPush. told() costs O(neighbours + log n). Memory: 2 bytes an entry, and
// whole entries for contested peers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "common/wire/push.h"
#include "peer/core/ledger.h"

namespace espalier::peer {

class PushTellers {
 public:
  using Claims = std::map<PeerId, wire::PushEntry>;  // by neighbour

  // The neighbour told `entry`, which became the entry of that index. `before`: what it was.
  void told(Ledger::Index index, const PeerId& neighbour, const wire::PushEntry& entry,
            const std::optional<wire::PushEntry>& before);

  // The neighbour that told the entry; null: this peer itself made it.
  const PeerId* teller(Ledger::Index index) const;
  // Null: not contested.
  const Claims* claims(Ledger::Index index) const;

 private:
  std::vector<PeerId> neighbours_;
  std::vector<std::uint16_t>
      tellers_;  // by index of the ledger: 1 + a position in neighbours_, or 0
  std::map<Ledger::Index, Claims> contested_;
};

}  // namespace espalier::peer
