// The transfer service of a peer: one view of its downloads, uploads and received pushes, and the
// rate limits that they share. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "peer/shell/active_downloads.h"
#include "peer/shell/push_desk.h"
#include "peer/shell/transfer_service.h"
#include "peer/transfer/transfer_server.h"

namespace espalier::peer::shell {

// The limits of all transfers together.
struct RateLimits {
  transfer::RateLimit upload;
  transfer::RateLimit download;

  // Sets the rates that are given; returns both.
  Rates set(std::optional<std::uint64_t> uploadRate, std::optional<std::uint64_t> downloadRate) {
    if (uploadRate) upload.set(*uploadRate);
    if (downloadRate) download.set(*downloadRate);
    return {upload.get(), download.get()};
  }
};

class TransferMonitor final : public TransferService {
 public:
  // All outlive it.
  TransferMonitor(RateLimits& rates, ActiveDownloads& downloads, transfer::TransferServer& server,
                  PushDesk& pushes)
      : rates_(rates), downloads_(downloads), server_(server), pushes_(pushes) {}

  Result<std::vector<ActiveTransfer>> control(TransferControl what,
                                              const std::vector<std::uint64_t>& numbers) override;
  Rates limit(std::optional<std::uint64_t> upload, std::optional<std::uint64_t> download) override;

  // Downloads, then received pushes, then uploads.
  std::vector<ActiveTransfer> list() const;
  std::uint64_t sentBytes() const { return server_.status().bytes + pushes_.sentBytes(); }
  std::uint64_t receivedBytes() const {
    return downloads_.receivedBytes() + pushes_.receivedBytes();
  }

 private:
  RateLimits& rates_;
  ActiveDownloads& downloads_;
  transfer::TransferServer& server_;
  PushDesk& pushes_;
};

}  // namespace espalier::peer::shell
