// A peer as other peers describe it: its id, its order of joining, and where it can be dialled,
// and its instance. A plain value. Used by all messages that name a peer (contact_codec.h).
#pragma once

#include "common/base/endpoint.h"
#include "common/base/ids.h"

namespace espalier::wire {

struct Contact {
  PeerId id;
  JoinOrder order = kNoOrder;
  Endpoint endpoint;
  InstanceHash instance = {};  // zero: not told

  bool operator==(const Contact&) const = default;
};

}  // namespace espalier::wire
