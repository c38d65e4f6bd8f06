// Serves file bytes, and lists of files, to the peers that connect, from upload slots
// (upload_slots.h). What is served is decided by a FileSource, and what happens to chunks that are
// not here yet by a ServePolicy (upload.h).
//
// The event loop hands it the connections whose Hello said `transfer` (peer/shell). Thread-safe.
// serve() never blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/guarded.h"
#include "common/net/blocking_stream.h"
#include "common/wire/hello.h"
#include "peer/transfer/rate_limit.h"
#include "peer/transfer/source.h"
#include "peer/transfer/upload.h"
#include "peer/transfer/upload_slots.h"

namespace espalier::transfer {

struct ServerStatus {
  std::size_t serving = 0;
  std::size_t waiting = 0;
  std::size_t connections = 0;
  std::uint64_t chunks = 0;
  std::uint64_t bytes = 0;
};

class TransferServer {
 public:
  // `source` and `rate`, which all uploads share, outlive the server.
  explicit TransferServer(FileSource& source, SlotOptions slots = {}, RateLimit* rate = nullptr,
                          ServePolicy policy = {});

  // A connection whose Hello was read; see UploadSlots::serve().
  void serve(std::unique_ptr<net::ByteStream> stream, const wire::Hello& hello);
  void stop() { slots_.stop(); }
  ServerStatus status() const;
  // What is being served, or has its next turn soon, in the order of asking.
  std::vector<UploadStatus> uploads() const;

 private:
  std::shared_ptr<Upload> begin(net::BlockingStream& stream, Upload::Options options);

  FileSource& source_;
  const std::shared_ptr<Budget> budget_;
  UploadCounters counters_;
  SentLists lists_;
  Guarded<std::vector<std::weak_ptr<Upload>>> uploads_;
  UploadSlots slots_;  // last: its threads use the rest
};

}  // namespace espalier::transfer
