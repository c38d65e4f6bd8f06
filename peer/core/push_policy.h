// Which pushes this peer takes: from which senders, and up to which size. A plain value; pushes
// ask it once for each offer. Options set it before the peer joins.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "common/base/ids.h"
#include "common/wire/push.h"

namespace espalier::peer {

struct PushPolicy {
  enum class From { none, all, some };
  From from = From::none;
  std::set<PeerId> senders;      // with `some`
  std::uint64_t limitBytes = 0;  // of all files of a push together

  // Why this peer declines the push, as its entry in the ledger says it. Nothing: it takes it.
  std::optional<std::string> refusal(const wire::PushOffer& offer) const;
};

}  // namespace espalier::peer
