// The id under which this peer is known in the network: the one that its user chose, or ID~2 and so
// on where another member had that one (Membership). Thread-safe.
#pragma once

#include <utility>

#include "common/base/guarded.h"
#include "common/base/ids.h"

namespace espalier::peer::shell {

class OwnId {
 public:
  explicit OwnId(PeerId id) : id_(std::move(id)) {}

  PeerId get() const {
    return id_.with([](const PeerId& id) { return id; });
  }
  void set(const PeerId& id) {
    id_.with([&](PeerId& own) { own = id; });
  }

 private:
  Guarded<PeerId> id_;
};

}  // namespace espalier::peer::shell
