// Serves the bytes of pushes: connections whose Hello said `push`. They ask as a transfer does
// (lists of hashes, chunks), but what is not there yet is waited for, with a sign of life each
// limits::kPushWaiting, so that a peer forwards a chunk as soon as it has verified it. Apart from
// TransferServer, so that a queue of askers never holds up a chain.
//
// Slots as in upload_slots.h, limits::kPushSlots at most and no queue behind them. stop() ends the
// store's files first. Thread-safe; serve() never blocks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/net/byte_stream.h"
#include "common/wire/hello.h"
#include "peer/transfer/partial_files.h"
#include "peer/transfer/rate_limit.h"
#include "peer/transfer/upload_slots.h"

namespace espalier::transfer {

struct PushServerOptions {
  std::size_t slots = limits::kPushSlots;
  Duration waiting = limits::kPushWaiting;
  Duration silence = limits::kTransferSilence;  // an asker that neither asks nor takes
  RateLimit* rate = nullptr;                    // of all uploads
};

class PushServer {
 public:
  // `store` outlives the server.
  explicit PushServer(PartialFiles& store, PushServerOptions options = {});
  ~PushServer() { stop(); }
  PushServer(const PushServer&) = delete;
  PushServer& operator=(const PushServer&) = delete;

  // A connection whose Hello said `push`; see UploadSlots::serve().
  void serve(std::unique_ptr<net::ByteStream> stream, const wire::Hello& hello);
  void stop();
  std::uint64_t bytes() const { return bytes_; }

 private:
  PartialFiles& store_;
  const PushServerOptions options_;
  std::atomic<std::uint64_t> bytes_{0};
  UploadSlots slots_;  // last: its threads use the rest
};

}  // namespace espalier::transfer
