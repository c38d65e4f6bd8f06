// One fetch while it runs: a thread a source. All work from one schedule (core/download.h) into one
// part (part_file.h). Used once.
//
// A source's thread: dials, asks for the list of hashes unless it is known, and with it for chunks
// already, so that a far source costs one round trip; asks ahead as the schedule says, and
// receives. Lanes (fetch_lanes.h) take what came: they hash, tell the schedule, and write. A source
// that lied, or broke off without having sent anything, is not dialled again; its thread takes the
// next holder, if there are more than threads. A source that holds parts is asked which, now and
// then, and for those.
//
// A source is an id at an endpoint: what is said about a peer by others can't keep the peer itself
// from being asked.
//
// Who else holds the file is asked after a second, then ever less often, and at once when nobody is
// left: found again, a holder that failed is tried once more. What is there is given on meanwhile
// (FetchRequest::partialFiles).
//
// What threads share is under one mutex, never held over I/O or hashing; the plan does not change
// once it is known, and nothing is hashed before. Nor does a conversation end while lanes have
// chunks of it. run() is called by one thread, which waits, reports progress and joins them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "peer/transfer/core/download.h"
#include "peer/transfer/downloader.h"
#include "peer/transfer/fetch_lanes.h"
#include "peer/transfer/part_file.h"

namespace espalier::transfer {

class FetchJob {
 public:
  FetchJob(const FetchRequest& request, const DownloaderOptions& options, PartFile& part);
  ~FetchJob();
  FetchJob(const FetchJob&) = delete;
  FetchJob& operator=(const FetchJob&) = delete;

  // `ok`: every chunk is in the part.
  Result<void> run(std::stop_token stop, const ProgressCallback& progress);
  // After run().
  void report(FetchResult& result) const;

 private:
  struct Source {
    Holder holder;
    int tries = 0;  // since it last sent something
    bool dialled = false;
    bool connected = false;
    bool ended = false;  // nothing is expected of it any more
    bool lied = false;
    std::uint64_t bytes = 0;
    std::optional<Error> problem;
    // Of the conversation that goes on:
    SourceId id{};
    const net::BlockingStream* stream = nullptr;  // while it is connected
    std::uint32_t position = 0;                   // in its queue
    std::size_t inLanes = 0;                      // chunks that came and are not judged yet
    bool delivered = false;                       // a chunk that was right
    std::optional<Error> lie;                     // that a lane found
    TimePoint lieAt{};
  };
  struct Conversation;  // one connection of a source

  void work(std::size_t first);
  std::optional<std::size_t> nextHolder();
  void serveFrom(std::size_t index);
  Result<void> converse(Conversation& talk);
  Result<void> learnPlan(Conversation& talk);
  Result<void> adopt(ChunkPlan plan);
  Result<void> fetchChunks(Conversation& talk);
  bool askAhead(Conversation& talk);
  Result<void> receive(Conversation& talk);
  Result<void> receiveChunk(Conversation& talk, const wire::ChunkHeader& header);
  Result<void> endTrial(Conversation& talk, const wire::ChunksCut& cut);
  Result<void> learnHeld(Conversation& talk, const wire::ChunksHeld& held);
  void seekHolders();
  bool addHolders(const std::vector<Holder>& holders);
  void startThreads(std::vector<std::jthread>& threads);
  void giveOn(const std::vector<std::uint64_t>& held);
  Result<void> hearLast(Conversation& talk);
  void cutLiars();
  void reject(Conversation& talk);
  Result<void> endConversation(Conversation& talk, Result<void> ended);
  void finish(ArrivedChunk& arrived);
  bool judge(const ArrivedChunk& arrived, bool right);
  void wake();
  void fail(Error error);
  bool over() const;  // with mutex_ held
  FetchProgress progressNow() const;
  Error failure() const;

  const FetchRequest& request_;
  const DownloaderOptions& options_;
  PartFile& part_;
  net::Interrupter interrupter_;
  std::stop_token stop_;

  mutable std::mutex mutex_;         // guards what follows
  std::condition_variable changed_;  // for sources: a chunk came back, the plan is known, all over
  std::condition_variable_any ended_;  // for run() and who seeks holders
  enum class PlanState { unknown, adopting, known };
  PlanState planState_ = PlanState::unknown;
  Download download_;
  std::uint64_t resumedBytes_ = 0;
  std::deque<Source> sources_;          // references stay valid
  std::deque<std::size_t> toDial_;      // of them
  bool seeking_ = false;                // somebody may still be found
  std::shared_ptr<PartialFile> given_;  // what is given on
  std::uint32_t nextId_ = 0;
  std::size_t working_ = 0;  // threads
  std::size_t idle_ = 0;     // of them wait for chunks to come back
  std::size_t writing_ = 0;  // chunks that the schedule holds and the disk does not yet
  std::optional<Error> failed_;

  FetchLanes lanes_;  // last: they end before the rest
};

}  // namespace espalier::transfer
