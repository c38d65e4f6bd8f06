// Actions that the registry requests of its shell (Server), which carries them out in this order
// after it has released the mutex. Plain values.
#pragma once

#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/wire/registry.h"

namespace espalier::metaserver {

struct Send {
  ConnectionId to;
  wire::RegistryReply reply;
};

// Does a process listen at that endpoint? The shell answers by Registry::probed().
struct Probe {
  PeerId id;
  Endpoint endpoint;
  bool optional = false;  // without an answer an id is only held longer
};

struct Effects {
  std::vector<Send> sends;
  std::vector<ConnectionId> closes;  // after the sends
  std::vector<Probe> probes;
  std::vector<std::string> notices;  // for the log; printable
};

}  // namespace espalier::metaserver
