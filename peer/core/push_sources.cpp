#include "peer/core/push_sources.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "common/base/limits.h"

namespace espalier::peer {

using wire::PushState;

PushShape pushShape(std::size_t takers, std::uint64_t chunks) {
  const bool isShort = takers <= limits::kPushChainTakers;
  return isShort && takers <= 1 + chunks / limits::kPushChainChunks ? PushShape::chain
                                                                    : PushShape::stripes;
}

std::size_t stripesOf(PushShape shape) {
  return shape == PushShape::chain ? 1 : kPushStripes;
}

std::size_t stripeOf(const FileRoot& root, std::uint64_t chunk, std::size_t stripes) {
  return (root.bytes.front() + chunk) % stripes;
}

std::size_t StripeTrees::rank(std::size_t stripe, std::size_t place) const {
  const bool turned = stripe == 1 && place > 0 && place <= inTime_;
  return turned ? inTime_ + 1 - place : place;
}

std::size_t StripeTrees::source(std::size_t stripe, std::size_t place) const {
  return rank(stripe, rank(stripe, place) / 2);
}

std::size_t StripeTrees::depth(std::size_t stripe, std::size_t place) const {
  return static_cast<std::size_t>(std::bit_width(rank(stripe, place)));
}

std::size_t StripeTrees::substitute(std::size_t stripe, std::size_t place) const {
  const std::size_t gone = source(stripe, place);
  if (gone == 0) return 0;
  const std::size_t here = source(stripe, gone);
  const std::size_t there = source(1 - stripe, gone);
  // Find which of the two takers is above the other tree's source in this tree.
  const std::size_t mine = rank(stripe, place);
  const std::size_t siblings = mine ^ 1;
  std::size_t above = rank(stripe, there);
  while (above > std::max(mine, siblings)) above /= 2;
  if (above == mine) return here;
  if (above == siblings) return there;
  return mine < siblings ? here : there;
}

std::vector<Ledger::Entry> pushOrder(const Ledger& ledger, const PeerId& sender) {
  using Entry = Ledger::Entry;
  const auto first = ledger.find(sender);
  std::vector<Entry> late;
  std::vector<Entry> behind;
  for (const auto& entry : ledger.entries()) {
    if (first && entry.index() == first->index()) continue;
    (entry.late() ? late : behind).push_back(entry);
  }
  // A counting sort by `via`: byVia holds the children of an entry from begins[index] on. A
  // comparison sort would be slower, and every peer does this several times a push.
  const auto viaOf = [&](const Entry& entry) { return entry.via().value_or(ledger.indices()); };
  std::vector<std::size_t> begins(ledger.indices() + 2);
  for (const auto& entry : behind) ++begins[viaOf(entry) + 1];
  std::partial_sum(begins.begin(), begins.end(), begins.begin());
  std::vector<Ledger::Index> byVia(behind.size());
  auto next = begins;
  for (const auto& entry : behind) byVia[next[viaOf(entry)]++] = entry.index();

  const auto older = [](const Entry& a, const Entry& b) {
    return a.order() != b.order() ? a.order() < b.order() : a.idText() < b.idText();
  };
  std::vector<bool> placed(ledger.indices());
  std::vector<Entry> order;
  order.reserve(ledger.size());
  std::vector<Entry> stack;  // its top is the next entry of the order
  if (first) stack.push_back(*first);
  while (!stack.empty()) {
    const Entry entry = stack.back();
    stack.pop_back();
    order.push_back(entry);
    placed[entry.index()] = true;
    const auto above = static_cast<std::ptrdiff_t>(stack.size());
    for (std::size_t i = begins[entry.index()]; i < begins[entry.index() + 1u]; ++i) {
      stack.push_back(*ledger.at(byVia[i]));
    }
    std::sort(stack.rbegin(), stack.rend() - above, older);
  }
  std::erase_if(behind, [&](const Entry& entry) { return placed[entry.index()]; });
  for (auto* rest : {&late, &behind}) {
    std::sort(rest->begin(), rest->end(), older);
    order.insert(order.end(), rest->begin(), rest->end());
  }
  return order;
}

PushSources pushSources(const Ledger& ledger, const PeerId& sender, const PeerId& self,
                        std::uint64_t chunks, std::optional<PushShape> shape) {
  PushSources sources;
  std::vector<Ledger::Entry> line;  // the peers that take part, by place
  std::size_t place = 0;
  std::size_t late = 0;
  bool found = false;
  for (const auto& entry : pushOrder(ledger, sender)) {
    const bool isSelf = entry.idText() == self.text();
    if (isSelf) {
      place = line.size();
      found = true;
    }
    if (!found && entry.state() == PushState::offered && !entry.late()) sources.forming = true;
    const bool takes = entry.state() == PushState::accepted || entry.state() == PushState::verified;
    if (!takes && !isSelf) continue;
    if (!line.empty() && (entry.late() || late > 0)) ++late;
    line.push_back(entry);
  }
  const std::size_t takers = line.empty() ? 0 : line.size() - 1;
  sources.shape = shape ? *shape : pushShape(takers, chunks);
  sources.ways.resize(stripesOf(sources.shape));
  if (!found) return sources;
  const StripeTrees trees(takers, late);
  for (std::size_t stripe = 0; stripe < sources.ways.size(); ++stripe) {
    auto& way = sources.ways[stripe];
    std::vector<bool> named(line.size());
    named[place] = true;
    const auto name = [&](std::size_t at) {
      if (!named[at]) way.candidates.push_back(line[at]);
      named[at] = true;
    };
    // Further candidates, for when the best one fails: the nearest place before `self` first, the
    // sender last, because it has the most takers.
    std::size_t rank = place;
    way.hops = place;
    if (sources.shape == PushShape::stripes && place > 0) {
      rank = trees.rank(stripe, place);
      way.hops = trees.depth(stripe, place);
      name(trees.source(stripe, place));
      name(trees.substitute(stripe, place));
    }
    while (rank-- > 0) {
      name(sources.shape == PushShape::chain ? rank : trees.rank(stripe, rank));
    }
    for (std::size_t at = 0; at < line.size(); ++at) {
      if (line[at].state() == PushState::verified) name(at);
    }
  }
  return sources;
}

}  // namespace espalier::peer
