// The status service of a peer: figures of all its parts, read at one moment. Thread-safe.
#pragma once

#include <string>

#include "peer/share/share_index.h"
#include "peer/shell/runtime.h"
#include "peer/shell/status_service.h"
#include "peer/shell/transfer_monitor.h"

namespace espalier::peer::shell {

class StatusReport final : public StatusService {
 public:
  // All outlive it. `options`: with the id.
  StatusReport(const PeerOptions& options, Runtime& runtime, share::ShareIndex& index,
               TransferMonitor& transfers, RateLimits& rates)
      : options_(options), runtime_(runtime), index_(index), transfers_(transfers), rates_(rates) {}

  Result<PeerStatus> status() override;
  // For the line that says that this peer has joined.
  Joined joined();

 private:
  const PeerOptions& options_;
  Runtime& runtime_;
  share::ShareIndex& index_;
  TransferMonitor& transfers_;
  RateLimits& rates_;
};

}  // namespace espalier::peer::shell
