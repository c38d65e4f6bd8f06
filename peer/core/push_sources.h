// Ranks the sources of a push for one peer. Every peer computes this from its own ledger. While
// ledgers differ, some sources serve more takers than planned and others fewer: that is all.
//
// Each peer that takes part has a place, which is a number:
//   0            the sender
//   then         depth first over the tree along which the offer travelled (`via` of the entries),
//                children in the order in which they joined the network
//   then         peers that the offer reached late: they have nothing to give yet
//   last         peers whose path from the sender is not known
//
// Two shapes, for N takers, M chunks, F bytes and an upload rate of u at each peer:
//   chain        each peer takes all chunks from the place before it. Time: (F/u)(1 + (N-1)/M).
//   stripes      the chunks are dealt to two stripes. Each stripe travels down a binary tree. A
//                peer that has children in one tree is a leaf of the other, so every peer sends F
//                bytes at most. D = ⌊log2 N⌋ levels take (F/u)(1 + 2D/M).
// docs/decisions/0010-push-chain.md gives the reasons, and says when each shape is used.
//
// Pure functions, O(N log N); PushTaking calls them. Nothing in `via` is trusted: peers in a cycle
// count as peers whose path is not known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "peer/core/ledger.h"

namespace espalier::peer {

enum class PushShape { chain, stripes };

// `takers`: without the sender.
PushShape pushShape(std::size_t takers, std::uint64_t chunks);

// The number of stripes, and the stripe to which a chunk belongs. The root of the file shifts the
// stripe, so files of one chunk are spread over the stripes, too.
inline constexpr std::size_t kPushStripes = 2;
std::size_t stripesOf(PushShape shape);
std::size_t stripeOf(const FileRoot& root, std::uint64_t chunk, std::size_t stripes);

// The two trees over the places 1 … `takers`. The first tree is a binary heap in the order of
// places, the second one a heap in the opposite order. The last `late` places come last in both.
class StripeTrees {
 public:
  StripeTrees(std::size_t takers, std::size_t late) : inTime_(takers - late) {}

  // The place from which `place` takes the stripe.
  std::size_t source(std::size_t stripe, std::size_t place) const;
  // The place that replaces a failed source. The failed peer had one source in each tree, and each
  // of the two now has one taker less. The two takers of the failed peer get one of them each, so
  // no source gets two more takers, and none gets a taker that comes before it.
  std::size_t substitute(std::size_t stripe, std::size_t place) const;
  // The number of hops from the sender, which has depth 0.
  std::size_t depth(std::size_t stripe, std::size_t place) const;
  // The position in the heap of that stripe, in which sources come before their takers. The
  // function is its own inverse.
  std::size_t rank(std::size_t stripe, std::size_t place) const;

 private:
  std::size_t inTime_;
};

// All entries of the ledger in the order of places, whatever their state.
std::vector<Ledger::Entry> pushOrder(const Ledger& ledger, const PeerId& sender);

struct PushSources {
  // The sources of one stripe.
  struct Way {
    // Best first: the peers that take part and come before `self`, then all other peers that have
    // every chunk.
    std::vector<Ledger::Entry> candidates;
    std::size_t hops = 0;  // from the sender to `self`, if no source fails
  };
  PushShape shape = PushShape::chain;
  std::vector<Way> ways;  // one for each stripe
  // A peer before `self` has not decided yet, so a better source may follow.
  bool forming = false;
};
// `shape`: use this shape, whatever the number of takers.
PushSources pushSources(const Ledger& ledger, const PeerId& sender, const PeerId& self,
                        std::uint64_t chunks, std::optional<PushShape> shape = {});

}  // namespace espalier::peer
