// The status service of a peer: figures of all its parts, read at one moment. Thread-safe.
#pragma once

#include <string>

#include "peer/share/share_index.h"
#include "peer/shell/network_search.h"
#include "peer/shell/runtime.h"
#include "peer/shell/status_service.h"
#include "peer/shell/transfer_monitor.h"
#include "peer/transfer/chunk_counts.h"

namespace espalier::peer::shell {

class StatusReport final : public StatusService {
 public:
  // All outlive it. `options`: with the id.
  StatusReport(const PeerOptions& options, Runtime& runtime, share::ShareIndex& index,
               TransferMonitor& transfers, RateLimits& rates, NetworkSearch& search,
               const transfer::ChunkCounts& chunks)
      : options_(options),
        runtime_(runtime),
        index_(index),
        transfers_(transfers),
        rates_(rates),
        search_(search),
        chunks_(chunks) {}

  Result<PeerStatus> status() override;
  Result<PeerFigures> figures() override;
  // For the line that says that this peer has joined.
  Joined joined();

 private:
  const PeerOptions& options_;
  Runtime& runtime_;
  share::ShareIndex& index_;
  TransferMonitor& transfers_;
  RateLimits& rates_;
  NetworkSearch& search_;
  const transfer::ChunkCounts& chunks_;
};

}  // namespace espalier::peer::shell
