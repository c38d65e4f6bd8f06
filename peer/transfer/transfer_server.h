// Serves file bytes and lists of the share to whoever connects, from upload slots (upload_slots.h).
// Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/base/file_descriptor.h"
#include "common/wire/hello.h"
#include "peer/transfer/source.h"
#include "peer/transfer/upload.h"
#include "peer/transfer/upload_slots.h"

namespace espalier::transfer {

struct ServerStatus {
  std::size_t serving = 0;
  std::size_t waiting = 0;
  std::uint64_t chunks = 0;
  std::uint64_t bytes = 0;
};

class TransferServer {
 public:
  // `source` outlives the server.
  explicit TransferServer(FileSource& source, SlotOptions options = {});

  // A connection whose Hello said `transfer`; see UploadSlots::serve().
  void serve(FileDescriptor socket, const wire::Hello& hello, std::string behind);
  void stop() { slots_.stop(); }
  ServerStatus status() const;

 private:
  FileSource& source_;
  UploadCounters counters_;
  UploadSlots slots_;  // last: its threads use the rest
};

}  // namespace espalier::transfer
