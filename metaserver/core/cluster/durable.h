// What a metaserver of a cluster must never forget, also over a crash: it is durable before it is
// used. A value.
#pragma once

#include "common/base/ids.h"
#include "common/wire/registry.h"

namespace espalier::metaserver::cluster {

struct Durable {
  Epoch epoch;  // the highest that this metaserver has had as a master
  // The end of the block of orders that it has reserved last, in a prefix of its own (epoch.h) of
  // this network; none: it has not opened one.
  JoinOrder ordersUpTo = kNoOrder;
  wire::NetworkId network;  // zero: none yet; then the one of its state file is its own

  bool operator==(const Durable&) const = default;
};

}  // namespace espalier::metaserver::cluster
