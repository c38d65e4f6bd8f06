// Whom a peer takes a push's bytes from. Every peer works it out for itself from its ledger; where
// ledgers differ for a moment, a source serves more or fewer, and nothing else happens.
//
// Places: the sender's is 0, then depth first from it over the tree along which the offer went (an
// entry's `via`), children by their order of joining; then those who came late, who would push in
// between with empty hands; last whoever's way from the sender is not known. N takers, M chunks:
//   chain    each takes all chunks from the one before it: (F/u)(1 + (N-1)/M)
//   stripes  the chunks are dealt to two stripes, and each goes down a binary tree of its own. Who
//            gives to two in the one tree gives to nobody in the other, so everybody sends F at
//            the most, and D = ⌊log2 N⌋ levels lie between: (F/u)(1 + 2D/M)
// docs/decisions/0010-push-chain.md says when which one is used, and why these two.
//
// Pure functions, O(N log N). Whatever `via` claims: a cycle is nobody's way from the sender.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "peer/core/ledger.h"

namespace espalier::peer {

enum class PushShape { chain, stripes };

// For `takers` besides the sender.
PushShape pushShape(std::size_t takers, std::uint64_t chunks);

// In how many parts a file goes along, and which one a chunk belongs to. Files of one chunk are
// dealt by their roots.
inline constexpr std::size_t kPushStripes = 2;
std::size_t stripesOf(PushShape shape);
std::size_t stripeOf(const FileRoot& root, std::uint64_t chunk, std::size_t stripes);

// The trees of the stripes over places 1 … `takers`, of which the last ones may be `late`. The
// first tree is a heap in the order of places, the second one in the opposite order; those who are
// late stand behind all others in both.
class StripeTrees {
 public:
  StripeTrees(std::size_t takers, std::size_t late) : inTime_(takers - late) {}

  // Whom the one at `place` takes that stripe from.
  std::size_t source(std::size_t stripe, std::size_t place) const;
  // And when that source is gone: it took one place in each tree, so its own two sources have one
  // taker less each. The two who have lost it share them, so that neither is asked by both, nor
  // by somebody before it.
  std::size_t substitute(std::size_t stripe, std::size_t place) const;
  // How far it is from the sender, who has depth 0.
  std::size_t depth(std::size_t stripe, std::size_t place) const;
  // Places in the order of that tree: sources stand before their takers. Its own inverse.
  std::size_t rank(std::size_t stripe, std::size_t place) const;

 private:
  std::size_t inTime_;
};

// Everybody in the ledger in that order, whatever the state.
std::vector<Ledger::Entry> pushOrder(const Ledger& ledger, const PeerId& sender);

struct PushSources {
  // Of one stripe.
  struct Way {
    // Best first: whoever takes part and comes before `self`, then all others who have everything.
    std::vector<Ledger::Entry> candidates;
    std::size_t hops = 0;  // from the sender to `self`, as long as nobody fails
  };
  PushShape shape = PushShape::chain;
  std::vector<Way> ways;  // as many as the shape has stripes
  // Somebody before `self` has not decided yet: the best may still turn up.
  bool forming = false;
};
// With `shape` that one, whatever the number of takers.
PushSources pushSources(const Ledger& ledger, const PeerId& sender, const PeerId& self,
                        std::uint64_t chunks, std::optional<PushShape> shape = {});

}  // namespace espalier::peer
