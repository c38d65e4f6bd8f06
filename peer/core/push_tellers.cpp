#include "peer/core/push_tellers.h"

#include <algorithm>
#include <limits>

namespace espalier::peer {

void PushTellers::told(Ledger::Index index, const PeerId& neighbour, const wire::PushEntry& entry,
                       const std::optional<wire::PushEntry>& before) {
  if (index >= tellers_.size()) tellers_.resize(index + 1u);
  const PeerId* const former = teller(index);
  if (entry.peer.id == neighbour) {
    contested_.erase(index);
  } else if (const auto contested = contested_.find(index); contested != contested_.end()) {
    contested->second[neighbour] = entry;
  } else if (former != nullptr && *former != neighbour && before) {
    contested_[index] = {{*former, *before}, {neighbour, entry}};
  }
  auto known = std::find(neighbours_.begin(), neighbours_.end(), neighbour);
  if (known == neighbours_.end()) {
    // Beyond so many neighbours, which came and went, the teller is not remembered.
    if (neighbours_.size() + 1 >= std::numeric_limits<std::uint16_t>::max()) return;
    known = neighbours_.insert(neighbours_.end(), neighbour);
  }
  tellers_[index] = static_cast<std::uint16_t>(known - neighbours_.begin() + 1);
}

const PeerId* PushTellers::teller(Ledger::Index index) const {
  if (index >= tellers_.size() || tellers_[index] == 0) return nullptr;
  return &neighbours_[tellers_[index] - 1u];
}

const PushTellers::Claims* PushTellers::claims(Ledger::Index index) const {
  const auto contested = contested_.find(index);
  return contested == contested_.end() ? nullptr : &contested->second;
}

}  // namespace espalier::peer
