// What pushes ask of the shell, and what it answers.
#pragma once

#include <cstddef>
#include <variant>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/push.h"

namespace espalier::peer {

// Begin to take these files; PushTakeFrom follows with the sources.
struct PushReceive {
  PushId id;
  PeerId sender;
  std::vector<wire::PushFile> files;
};

// Take what is missing of one stripe from this source. It replaces the stripe's source before; a
// number of stripes that differs from the one before replaces the sources of all stripes.
struct PushTakeFrom {
  PushId id;
  std::size_t stripe = 0;
  std::size_t stripes = 1;
  wire::Contact source;
  Duration patience;  // with a source that gives signs of life, but nothing else
};

// Stop taking it and giving it.
struct PushDrop {
  PushId id;
};

using PushJob = std::variant<PushReceive, PushTakeFrom, PushDrop>;

// Why a source is of no use.
enum class PushTrouble {
  unreachable,  // or it broke off
  lied,
  useless,  // it does not have it, or nothing came from it
};

}  // namespace espalier::peer
