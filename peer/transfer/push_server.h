// Serves the bytes of pushes, to connections whose Hello said `push`. They ask as a transfer does
// (lists of hashes, chunks), but wait for what is not here yet (ServePolicy `wait`), so that a peer
// forwards a chunk as soon as it has verified it. Apart from the server of the share, so that a
// queue of askers never holds up a push.
//
// Slots as in upload_slots.h, limits::kPushSlots at most. An asker whose chunk is not here yet
// gives its thread to others that are ready, and waits in the queue in turn. stop() ends the
// store's files first, which wakes the threads that wait for chunks. Owned by PushDesk
// (peer/shell). Thread-safe; serve() never blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/net/byte_stream.h"
#include "common/wire/hello.h"
#include "peer/transfer/partial_files.h"
#include "peer/transfer/rate_limit.h"
#include "peer/transfer/source.h"
#include "peer/transfer/transfer_server.h"

namespace espalier::transfer {

struct PushServerOptions {
  std::size_t slots = limits::kPushSlots;
  Duration waiting = limits::kPushWaiting;
  Duration silence = limits::kTransferSilence;  // an asker that neither asks nor takes
  RateLimit* rate = nullptr;                    // of all uploads
  std::shared_ptr<Budget> budget = std::make_shared<Budget>();  // of the process
};

// The files of pushes, as a server sees them. `store` outlives it.
class PushedFiles final : public FileSource {
 public:
  explicit PushedFiles(PartialFiles& store) : store_(store) {}

  std::optional<wire::FileEntry> find(const FileRoot& root) override;
  std::shared_ptr<const PartialFile> partialFile(const FileRoot& root) override;
  Result<ServedFile> open(const FileRoot& root) override;
  std::uint64_t chunkBytes(std::uint64_t sizeBytes) const override;
  Result<std::vector<Digest>> chunkHashes(const FileRoot& root) override;
  std::vector<wire::FileEntry> list(std::string_view, std::size_t) override { return {}; }

 private:
  std::shared_ptr<const PartialFile> begun(const FileRoot& root) const;

  PartialFiles& store_;
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
  std::uint64_t bytes() const { return server_.status().bytes; }

 private:
  PartialFiles& store_;
  PushedFiles files_;
  TransferServer server_;
};

}  // namespace espalier::transfer
