// What the registry asks its shell to do. Carried out in this order, after the mutex was released.
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

// Does anything listen at that endpoint? Answered by Registry::probed().
struct Probe {
  PeerId id;
  Endpoint endpoint;
  bool optional = false;  // without an answer an id is held a little longer
};

struct Effects {
  std::vector<Send> sends;
  std::vector<ConnectionId> closes;  // once what was sent has left
  std::vector<Probe> probes;
  std::vector<std::string> notices;  // for the log; printable
};

}  // namespace espalier::metaserver
