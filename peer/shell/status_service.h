// The state of this peer at one moment. Thread rule: see search_service.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/histogram.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "peer/shell/search_service.h"
#include "peer/shell/transfer_service.h"

namespace espalier::peer::shell {

struct PeerStatus {
  PeerId id;
  PeerId wantedId;  // the one that its user chose
  Endpoint endpoint;
  Endpoint metaserver;  // its home, or its last one
  bool metaserverReachable = false;
  std::uint64_t members = 0;  // of the network, as far as is known
  std::uint64_t links = 0;
  std::uint64_t maxLinks = 0;
  std::string share;      // the folder
  std::string downloads;  // the folder
  std::uint64_t sharedFiles = 0;
  std::uint64_t sharedBytes = 0;
  std::uint64_t filesToIndex = 0;  // 0: the index is complete
  std::uint64_t openQueries = 0;
  std::uint64_t sentBytes = 0;
  std::uint64_t receivedBytes = 0;
  Rates rates;
  std::chrono::nanoseconds uptime{};
  std::vector<ActiveTransfer> transfers;
};

// For /metrics; since the start, unless it says otherwise.
struct PeerFigures {
  Histogram heals;  // of ParentSearch
  SearchFigures searches;
  std::uint64_t verifiedChunks = 0;
  std::uint64_t badChunks = 0;
  std::uint64_t queueBytes = 0;  // now: what waits to be sent on all links
};

class StatusService {
 public:
  virtual ~StatusService() = default;
  virtual Result<PeerStatus> status() = 0;
  virtual Result<PeerFigures> figures() = 0;
};

}  // namespace espalier::peer::shell
