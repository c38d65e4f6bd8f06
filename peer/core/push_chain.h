// Whom a peer takes a push's bytes from. Every peer works it out for itself from its ledger; where
// ledgers differ for a moment, a source serves two, or none, and nothing else happens.
//
// The order: depth first from the sender over the tree along which the offer went (an entry's
// `via`), children by their order of joining; then those who came late, who would push in between
// with empty hands; last whoever's way from the sender is not known. In that order a peer takes
// from
//   chain   the one before it: N peers, M chunks, (F/u)(1 + (N-1)/M)
//   binary  the one at half its place: everybody gives to two at once, or to nobody, and the last
//           stands D = ⌊log2(N+1)⌋ levels below the sender: (F/u)(2 + 2(D-1)/M)
// whichever is faster; docs/decisions/0010-push-chain.md says why these two.
//
// Pure functions, O(N log N). Whatever `via` claims: a cycle is nobody's way from the sender.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/base/ids.h"
#include "peer/core/ledger.h"

namespace espalier::peer {

enum class PushShape { chain, binary };

// For `takers` besides the sender.
PushShape pushShape(std::size_t takers, std::uint64_t chunks);
// Whom the one at place 1, 2 … takes from; the sender is at 0.
std::size_t placeBefore(PushShape shape, std::size_t place);

// Everybody in the ledger in that order, whatever the state.
std::vector<const wire::PushEntry*> pushOrder(const Ledger& ledger, const PeerId& sender);

struct PushSources {
  // Best first: whoever takes part and comes before `self`, then all others who have everything.
  std::vector<const wire::PushEntry*> candidates;
  std::size_t hops = 0;  // from the sender to `self`, as long as nobody fails
  // Somebody before `self` has not decided yet: the best may still turn up.
  bool forming = false;
};
PushSources pushSources(const Ledger& ledger, const PeerId& sender, const PeerId& self,
                        std::uint64_t chunks);

}  // namespace espalier::peer
