#include "peer/core/push_chain.h"

#include <algorithm>
#include <bit>
#include <map>

namespace espalier::peer {

using wire::PushEntry;
using wire::PushState;

PushShape pushShape(std::size_t takers, std::uint64_t chunks) {
  // M + N-1 against 2M + 2(D-1), the times of a chunk.
  const auto levels = static_cast<std::uint64_t>(std::bit_width(takers + 1)) - 1;
  return takers + 1 <= chunks + 2 * levels ? PushShape::chain : PushShape::binary;
}

std::size_t placeBefore(PushShape shape, std::size_t place) {
  return shape == PushShape::chain ? place - 1 : (place - 1) / 2;
}

std::vector<const PushEntry*> pushOrder(const Ledger& ledger, const PeerId& sender) {
  std::map<PeerId, std::vector<const PushEntry*>> behind;  // by via
  std::vector<const PushEntry*> late;
  for (const auto& [id, entry] : ledger.entries()) {
    if (id == sender) continue;
    (entry.late ? late : behind[entry.via]).push_back(&entry);
  }
  const auto younger = [](const PushEntry* a, const PushEntry* b) {
    return a->peer.order != b->peer.order ? a->peer.order > b->peer.order : a->peer.id > b->peer.id;
  };
  std::vector<const PushEntry*> order;
  std::vector<const PushEntry*> stack;  // the next one last
  if (const auto* first = ledger.find(sender)) stack.push_back(first);
  while (!stack.empty()) {
    const auto* entry = stack.back();
    stack.pop_back();
    order.push_back(entry);
    const auto children = behind.find(entry->peer.id);
    if (children == behind.end()) continue;
    std::sort(children->second.begin(), children->second.end(), younger);
    stack.insert(stack.end(), children->second.begin(), children->second.end());
    behind.erase(children);  // each once
  }
  std::vector<const PushEntry*> astray;
  for (const auto& [via, entries] : behind) {
    astray.insert(astray.end(), entries.begin(), entries.end());
  }
  for (auto* rest : {&late, &astray}) {
    std::sort(rest->rbegin(), rest->rend(), younger);
    order.insert(order.end(), rest->begin(), rest->end());
  }
  return order;
}

PushSources pushSources(const Ledger& ledger, const PeerId& sender, const PeerId& self,
                        std::uint64_t chunks) {
  PushSources sources;
  std::vector<const PushEntry*> line;  // who takes part
  std::size_t place = 0;
  bool found = false;
  for (const auto* entry : pushOrder(ledger, sender)) {
    const bool isSelf = entry->peer.id == self;
    if (isSelf) {
      place = line.size();
      found = true;
    }
    if (!found && entry->state == PushState::offered && !entry->late) sources.forming = true;
    const bool takes = entry->state == PushState::accepted || entry->state == PushState::verified;
    if (takes || isSelf) line.push_back(entry);
  }
  if (!found) return sources;
  if (place > 0) {
    const PushShape shape = pushShape(line.size() - 1, chunks);
    const std::size_t best = placeBefore(shape, place);
    for (std::size_t at = place; at > 0; at = placeBefore(shape, at)) ++sources.hops;
    sources.candidates.push_back(line[best]);
    // Should that one fail: whoever is nearest before us in a chain, and the sender last of all,
    // who has enough to do.
    for (std::size_t i = place; i-- > 0;) {
      if (i != best) sources.candidates.push_back(line[i]);
    }
  }
  for (std::size_t i = place + 1; i < line.size(); ++i) {
    if (line[i]->state == PushState::verified) sources.candidates.push_back(line[i]);
  }
  return sources;
}

}  // namespace espalier::peer
