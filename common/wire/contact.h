// A peer as another one speaks of it: enough to dial it, and to tell which of two joined first.
#pragma once

#include "common/base/endpoint.h"
#include "common/base/ids.h"

namespace espalier::wire {

struct Contact {
  PeerId id;
  JoinOrder order = kNoOrder;
  Endpoint endpoint;

  bool operator==(const Contact&) const = default;
};

}  // namespace espalier::wire
