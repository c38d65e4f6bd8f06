// Numbers for the connections that this peer's core dials: odd ones. Accepted connections have even
// numbers, which the shell gives.
#pragma once

#include <cstdint>

#include "common/base/ids.h"

namespace espalier::peer {

class ConnectionNumbers {
 public:
  ConnectionId next() { return ConnectionId{++dialled_ * 2 - 1}; }

 private:
  std::uint64_t dialled_ = 0;
};

}  // namespace espalier::peer
