// The peers of the fuzz targets that run a core.
#pragma once

#include <cstdint>

#include "common/base/ids.h"
#include "common/wire/contact.h"

namespace espalier::fuzz {

// On one host; each order has a port of its own.
inline wire::Contact contactOf(const char* id, std::uint64_t order) {
  return {
      *PeerId::parse(id), JoinOrder{order}, {"10.0.0.1", static_cast<std::uint16_t>(5000 + order)}};
}

}  // namespace espalier::fuzz
