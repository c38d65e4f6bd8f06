// The interface that the commands of a metaserver call. Server implements it; tests have their own.
//
// Thread rule as for command::NetworkService: blocking, called from any number of command threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "common/base/endpoint.h"
#include "common/base/histogram.h"
#include "common/command/network_commands.h"

namespace espalier::metaserver::shell {

struct Status {
  Endpoint endpoint;
  std::uint64_t members = 0;     // of the network
  std::uint64_t reserved = 0;    // of these, attaching to a reserved slot
  std::uint64_t awaited = 0;     // absent members that have not come back after a restart
  std::uint64_t refused = 0;     // since it started
  std::uint64_t joined = 0;      // newcomers, since this one decides
  std::uint64_t lost = 0;        // members that have left or died, likewise
  std::uint64_t adrift = 0;      // members that have lost their parent and report no other one yet
  Histogram heals;               // how long members were adrift, likewise
  std::uint64_t queueBytes = 0;  // that wait to be sent
  std::uint64_t maxLinks = 0;
  std::string placement;
  std::string topoFile;
  std::chrono::nanoseconds uptime{};
};

class MetaserverService : public command::NetworkService {
 public:
  virtual Result<Status> status() = 0;
  // Asks the program to end, and returns at once.
  virtual void stop() = 0;
};

}  // namespace espalier::metaserver::shell
