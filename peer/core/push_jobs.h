// What pushes ask of the shell (Effects::pushJobs), and the reasons with which it reports that a
// source has failed. Plain values.
#pragma once

#include <cstddef>
#include <variant>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/push.h"

namespace espalier::peer {

// Prepare to receive these files. PushTakeFrom names the sources later.
struct PushReceive {
  PushId id;
  PeerId sender;
  std::vector<wire::PushFile> files;
};

// Receive the missing chunks of one stripe from this source, which replaces the stripe's former
// source. If `stripes` differs from the last job's, the former sources of all stripes are dropped.
struct PushTakeFrom {
  PushId id;
  std::size_t stripe = 0;
  std::size_t stripes = 1;
  wire::Contact source;
  Duration patience;  // for a source that sends keep-alives, but no chunk
};

// Stop receiving and serving this push.
struct PushDrop {
  PushId id;
};

using PushJob = std::variant<PushReceive, PushTakeFrom, PushDrop>;

// Why a source failed.
enum class PushTrouble {
  unreachable,  // not reachable, or the connection ended
  lied,         // it sent wrong data
  useless,      // it does not have the files, or sent nothing in time
};

}  // namespace espalier::peer
