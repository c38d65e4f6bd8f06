// One asker's connection: answers its requests in order, until the asker leaves or the server
// stops.
//
//   read a request --> queue its answer --> … --> flush when no request is left, or much is queued
//
// Serves in slices (upload_slots.h). A slice may end anywhere, also within a chunk: what is still
// to be sent is kept, and nothing more is read before the asker has taken it. So an asker that
// reads nothing costs what AnswerQueue holds.
//
// ServePolicy says what happens to a chunk that is not here yet. With `refuse` the answer is a
// failure. With `wait` the asker gets a sign of life (Waiting) every `waiting` until the chunk
// arrives, and the slice ends when others are ready; only lists of hashes and chunks are served
// then, because the askers take a push.
//
// Made by TransferServer for each connection. serve() is called by one thread of UploadSlots at a
// time, status() by any.
#pragma once

#include <atomic>
#include <cstddef>
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
#include "peer/transfer/answer_queue.h"
#include "peer/transfer/partial_files.h"
#include "peer/transfer/rate_limit.h"
#include "peer/transfer/sent_lists.h"
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
    Account payer = {};  // of what the asker makes this peer do
  };
  // What all uploads of a server share; it outlives them.
  struct Server {
    FileSource& source;
    UploadCounters& counters;
    SentLists& lists;
  };
  // The Hello was read from `stream`, which outlives this.
  Upload(net::BlockingStream& stream, Server server, Options options);

  Result<UploadSlots::Next> serve(const UploadSlots::Slice& slice) override;
  std::size_t heldBytes() const override;
  bool isBetweenFrames() const override { return out_.isBetweenFrames(); }
  // Nothing before any byte was asked for.
  std::optional<UploadStatus> status() const;

 private:
  using Next = UploadSlots::Next;
  using Slice = UploadSlots::Slice;
  using Failed = std::optional<wire::TransferFailure>;
  using Paused = std::optional<Next>;  // nothing: it goes on

  Result<void> answer(const wire::UnknownRequest&);
  Result<void> answer(const wire::ChunkListRequest& request);
  Result<void> answer(const wire::ChunkRequest& request);
  Result<void> answer(const wire::ListRequest& request);
  Result<void> answer(const wire::ChunksHeldRequest& request);
  Result<void> answer(const wire::ChunkRejected& request);
  bool waits() const { return options_.policy.whenMissing == ServePolicy::WhenMissing::wait; }
  wire::TransferFailure notShared() const;
  Result<void> refuseAllButChunks();
  Result<Paused> step(const Slice& slice);
  Result<Paused> readMore(const Slice& slice);
  Error refuseFrame(const Slice& slice, Error why);

  void answerListPart();
  // The chunks that are still to be sent, one a call.
  Result<void> answerChunk();
  Failed whyNot(std::uint64_t chunk, std::uint64_t chunkBytes) const;
  void fileHasChanged();

  // With the policy `wait`. `look` waits for so long at most. Returns soon, also with `notYet`.
  template <typename Look>
  PartialFile::There awaitThere(const Look& look);
  // Whether the chunks of the file are known. Of a push they may not be yet; then the request is
  // answered later.
  bool isPlanned(const wire::TransferRequest& request, const FileRoot& root);

  Failed openFile(const FileRoot& root);
  bool unchanged() const;
  void sent(std::uint64_t bytes);
  void queue(const wire::TransferAnswer& answer) { out_.add(answer); }
  Result<Paused> flush(const Slice& slice);

  net::BlockingStream& stream_;
  FileSource& source_;
  UploadCounters& counters_;
  SentLists& lists_;
  Options options_;
  wire::FrameReader reader_;
  std::optional<wire::TransferRequest> again_;  // to be answered once its file is there
  std::optional<wire::ChunkRequest> rest_;      // chunks that are still to be sent
  TimePoint restUntil_;                         // no chunk is begun later
  TimePoint signAt_;                            // while it waits: the next sign of life
  struct ListRest {
    SentLists::List hashes;
    wire::ChunkList next;  // without hashes yet
  };
  std::optional<ListRest> list_;  // a list of which parts are still to be sent
  AnswerQueue out_;
  bool mustFlush_ = false;
  // The file that was asked for last stays open, because chunks of one file are asked for in a row.
  std::optional<wire::FileEntry> info_;
  ServedFile file_;
  std::optional<FileRoot> servedLast_;

  struct Shown {
    std::optional<UploadStatus> status;
    TimePoint since;
  };
  Guarded<Shown> shown_;
};

}  // namespace espalier::transfer
