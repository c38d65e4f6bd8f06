// One asker's connection: answers its requests in order, until the asker leaves, is silent for too
// long, or the server stops. Serves in turns, which end between two chunks.
//
//   read a request --> queue its answer --> … --> flush when no request is left, or much is queued
//
// ServePolicy says what happens to a chunk that is not here yet. With `refuse` the answer is a
// failure. With `wait` the asker gets a sign of life (Waiting) every `waiting` until the chunk
// arrives; only lists of hashes and chunks are served then, because the askers take a push.
//
// Made by TransferServer for each connection. serve() is called by one thread of UploadSlots at a
// time, status() by any.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "common/base/clock.h"
#include "common/base/guarded.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/net/blocking_stream.h"
#include "common/wire/frame.h"
#include "common/wire/transfer.h"
#include "peer/transfer/partial_files.h"
#include "peer/transfer/rate_limit.h"
#include "peer/transfer/source.h"
#include "peer/transfer/upload_slots.h"

namespace espalier::transfer {

struct ServePolicy {
  enum class WhenMissing { refuse, wait };
  WhenMissing whenMissing = WhenMissing::refuse;
  Duration waiting = limits::kPushWaiting;
};

// What a server has done. Each counter on its own is exact.
struct UploadCounters {
  std::atomic<std::uint64_t> chunks = 0;
  std::atomic<std::uint64_t> bytes = 0;  // of files
};

// The file of which bytes were sent to an asker last.
struct UploadStatus {
  std::string name;
  std::string to;  // the asker's address
  std::uint64_t size = 0;
  std::uint64_t bytes = 0;  // of the file, sent on this connection
  double bytesPerSecond = 0;
};

class Upload final : public UploadSlots::Conversation {
 public:
  struct Options {
    ServePolicy policy = {};
    Pace pace = {};
    Duration silence = limits::kTransferSilence;  // of an asker that asks for nothing
  };
  // The Hello was read from `stream`, which outlives this.
  Upload(net::BlockingStream& stream, FileSource& source, UploadCounters& counters,
         Options options);

  // Returns true when the turn is over, false when the asker left between two requests.
  Result<bool> serve(const UploadSlots::TurnIsOver& turnIsOver) override;
  // Nothing before any byte was asked for.
  std::optional<UploadStatus> status() const;

 private:
  using Failed = std::optional<wire::TransferFailure>;

  Result<void> answer(const wire::UnknownRequest&);
  Result<void> answer(const wire::ChunkListRequest& request);
  Result<void> answer(const wire::ChunkRequest& request);
  Result<void> answer(const wire::ListRequest& request);
  Result<void> answer(const wire::ChunksHeldRequest& request);
  Result<void> answer(const wire::ChunkRejected& request);
  bool waits() const { return options_.policy.whenMissing == ServePolicy::WhenMissing::wait; }
  wire::TransferFailure notShared() const;
  Result<void> refuseAllButChunks();
  Result<bool> awaitRequest(const UploadSlots::TurnIsOver& turnIsOver);

  // The chunks that are still to be sent, one a call.
  Result<void> answerChunk();
  Failed whyNot(std::uint64_t chunk, std::uint64_t chunkBytes) const;
  Result<void> sendSmall(std::uint64_t chunk, std::uint64_t offset, std::uint64_t bytes);
  Result<void> sendLarge(std::uint64_t chunk, std::uint64_t offset, std::uint64_t bytes);
  // False: the file turned out shorter, and zeros were sent in place of the rest.
  Result<bool> sendBytes(std::uint64_t offset, std::uint64_t bytes);

  // With the policy `wait`: false when it will never be there.
  Result<bool> awaitPlan(const FileRoot& root);
  Result<bool> awaitChunk(std::uint64_t chunk);
  template <typename Look>
  Result<bool> awaitThere(const Look& look);

  Failed openFile(const FileRoot& root);
  bool unchanged() const;
  void sent(std::uint64_t bytes);
  Result<void> queue(const wire::TransferAnswer& answer);
  Result<void> flush(bool moreFollows = false);

  net::BlockingStream& stream_;
  FileSource& source_;
  UploadCounters& counters_;
  const Options options_;
  wire::FrameReader reader_;
  TimePoint active_ = Clock::now();         // when the asker last asked for something or took it
  std::optional<wire::ChunkRequest> rest_;  // chunks that are still to be sent
  TimePoint restUntil_;                     // no chunk is begun later
  std::string out_;  // answers that were not sent yet, small chunks among them
  // The file that was asked for last stays open, because chunks of one file are asked for in a row.
  std::optional<wire::FileEntry> info_;
  ServedFile file_;

  struct Shown {
    std::optional<UploadStatus> status;
    TimePoint since;
  };
  Guarded<Shown> shown_;
};

}  // namespace espalier::transfer
