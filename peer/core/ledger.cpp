#include "peer/core/ledger.h"

#include "common/base/limits.h"

namespace espalier::peer {

bool Ledger::merge(const wire::PushEntry& entry) {
  const auto known = entries_.find(entry.peer.id);
  if (known == entries_.end()) {
    if (entries_.size() >= limits::kLedgerEntries) return false;
    entries_.emplace(entry.peer.id, entry);
  } else {
    if (entry <= known->second) return false;
    --counts_[static_cast<std::size_t>(known->second.state)];
    known->second = entry;
  }
  ++counts_[static_cast<std::size_t>(entry.state)];
  return true;
}

const wire::PushEntry* Ledger::find(const PeerId& id) const {
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second;
}

}  // namespace espalier::peer
