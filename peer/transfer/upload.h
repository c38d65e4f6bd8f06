// One asker's connection: requests are answered in order until the asker leaves, is silent for too
// long, or the server stops; in turns, which end between two chunks.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/file_descriptor.h"
#include "common/base/guarded.h"
#include "common/base/result.h"
#include "common/net/blocking_stream.h"
#include "common/wire/frame.h"
#include "common/wire/transfer.h"
#include "peer/transfer/rate_limit.h"
#include "peer/transfer/source.h"
#include "peer/transfer/upload_slots.h"

namespace espalier::transfer {

// What a server has done. Each counter on its own is exact.
struct UploadCounters {
  std::atomic<std::uint64_t> chunks = 0;
  std::atomic<std::uint64_t> bytes = 0;  // of files
};

// The file that an asker was last given bytes of.
struct UploadStatus {
  std::string name;
  std::string to;  // the asker's address
  std::uint64_t size = 0;
  std::uint64_t bytes = 0;  // of the file, sent on this connection
  double bytesPerSecond = 0;
};

class Upload final : public UploadSlots::Conversation {
 public:
  Upload(net::BlockingStream& stream, FileSource& source, UploadCounters& counters, Pace pace,
         Duration silence);

  // An error unless the asker left between two requests.
  Result<bool> serve(const UploadSlots::TurnIsOver& turnIsOver) override;
  // Any thread. Nothing before any byte was asked for.
  std::optional<UploadStatus> status() const;

 private:
  using Failed = std::optional<wire::TransferFailure>;

  Result<void> answer(const wire::UnknownRequest&);
  Result<void> answer(const wire::ChunkListRequest& request);
  Result<void> answer(const wire::ChunkRequest& request);
  Result<void> answerChunk();
  Result<void> answer(const wire::ListRequest& request);
  Result<void> answer(const wire::ChunksHeldRequest& request);
  Result<void> answer(const wire::ChunkRejected& request);
  Result<bool> awaitRequest(const UploadSlots::TurnIsOver& turnIsOver);
  Failed openFile(const FileRoot& root);
  bool unchanged() const;
  bool holds(std::uint64_t chunk, std::uint64_t chunkBytes) const;
  // False: the file turned out shorter, and zeros were sent in place of the rest.
  Result<bool> sendBytes(std::uint64_t offset, std::uint64_t bytes);
  Result<void> answerSmall(std::uint64_t chunk, std::uint64_t offset, std::uint64_t bytes);
  Result<void> queue(const wire::TransferAnswer& answer);
  Result<void> flush(bool moreFollows = false);
  void sent(std::uint64_t bytes);

  net::BlockingStream& stream_;
  FileSource& source_;
  UploadCounters& counters_;
  const Pace pace_;
  const Duration silence_;  // of an asker that wants nothing
  wire::FrameReader reader_;
  TimePoint active_ = Clock::now();         // the asker, last: it asked for something, or took it
  std::optional<wire::ChunkRequest> rest_;  // chunks that are still to be sent
  TimePoint restUntil_;                     // none is begun later
  std::string out_;  // answers that were not sent yet, small chunks among them
  // The file that was asked for last stays open: chunks of one file come in a row.
  std::optional<FileInfo> info_;
  OpenedFile file_;

  struct Shown {
    std::optional<UploadStatus> status;
    TimePoint since;
  };
  Guarded<Shown> shown_;
};

}  // namespace espalier::transfer
