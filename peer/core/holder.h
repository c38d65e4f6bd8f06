// A peer that holds a file, as a search found it. A value: made by the peer's searches, used by
// transfers, which dial the endpoint.
#pragma once

#include "common/base/endpoint.h"
#include "common/base/ids.h"

namespace espalier::peer {

struct Holder {
  PeerId id;
  Endpoint endpoint;
  bool partial = false;  // it is fetching the file itself, and serves what it has

  auto operator<=>(const Holder&) const = default;
};

}  // namespace espalier::peer
