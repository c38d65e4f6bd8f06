// What a metaserver of a cluster must never forget, also over a crash: it is durable before it is
// used. A value.
#pragma once

#include "common/base/ids.h"
#include "common/wire/registry.h"

namespace espalier::metaserver::cluster {

struct Durable {
  Epoch epoch;                      // the highest that this metaserver has had as a master
  JoinOrder ordersUpTo = kNoOrder;  // the end of the block from which it may give orders
  wire::NetworkId network;          // zero: none yet

  bool operator==(const Durable&) const = default;
};

}  // namespace espalier::metaserver::cluster
