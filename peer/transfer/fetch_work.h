// What the threads of one fetch share: the plan, the schedule (core/download.h), the sources and
// the part. FetchJob starts the threads; FetchConversation asks one source.
//
//   plan:   unknown --adopt--> adopting --the part has begun--> known
//   chunk:  next() --> received() --> a lane hashes it, tells the schedule, and writes it
//
// Invariants: the plan does not change once it is known, and no chunk is hashed before. A
// conversation does not end while lanes have chunks of it.
//
// Thread-safe, except that functions with a `Lock` want the lock that lock() returned. The mutex is
// never held over I/O or hashing.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/net/interrupter.h"
#include "common/wire/transfer.h"
#include "peer/transfer/core/download.h"
#include "peer/transfer/downloader.h"
#include "peer/transfer/fetch_lanes.h"
#include "peer/transfer/fetch_sources.h"
#include "peer/transfer/part_file.h"

namespace espalier::transfer {

class FetchWork {
 public:
  using Lock = std::unique_lock<std::mutex>;

  // `interrupter` wakes threads that wait for a source; fail() calls it.
  // `chunks`, unless null, counts those that were right, and those that were not.
  FetchWork(const FetchRequest& request, PartFile& part, net::Interrupter& interrupter,
            ChunkCounts* chunks);
  ~FetchWork();
  FetchWork(const FetchWork&) = delete;
  FetchWork& operator=(const FetchWork&) = delete;

  const FetchRequest& request() const { return request_; }
  Lock lock() const { return Lock(mutex_); }
  // The first error counts.
  void fail(Error error);
  void failLocked(const Lock&, Error error) {
    if (!failed_) failed_ = std::move(error);
  }
  const std::optional<Error>& failed(const Lock&) const { return failed_; }
  // Everything is on the disk, or it failed.
  bool over(const Lock&) const;
  FetchSources& sources(const Lock&) { return sources_; }

  // --- threads of sources
  std::size_t working(const Lock&) const { return working_; }
  void threadStarted(const Lock&) { ++working_; }
  void threadEnded(const Lock&);
  // No thread works, and none will: no source is to be dialled now or later.
  bool idle(const Lock&) const { return working_ == 0 && !sources_.anyToDial(); }
  // The next source for a thread to dial; nothing when there is none for now, or it is over.
  std::optional<std::size_t> nextSource(const Lock&);
  // Waits until `enough`, `time` has passed or it is stopped. Woken when a source is to be dialled,
  // the last thread ends, the plan is known, or it is over.
  template <typename Enough>
  void await(Lock& lock, std::stop_token stop, Duration time, Enough enough) {
    ended_.wait_for(lock, stop, time, enough);
  }
  void await(Lock& lock, Duration time) { ended_.wait_for(lock, time); }
  void wakeAll(const Lock&) { ended_.notify_all(); }

  // --- the plan
  // The first plan is taken; the result is the error of the part. A caller that comes later waits
  // until the first one is through.
  Result<void> adopt(ChunkPlan plan, std::stop_token stop);
  bool planKnown(const Lock&) const { return planState_ == PlanState::known; }
  // Once it is known.
  const ChunkPlan& plan() const { return part_.plan(); }
  // Whether chunks may be asked for before it is known. Not where the disk has no room for the size
  // that was claimed, nor where an earlier run left what only the plan can tell from nothing.
  bool mayAskAhead() const { return part_.roomFor(request_.size) && !part_.mayHoldUnknown(); }
  Result<bool> reserveMore() { return part_.reserveMore(); }

  // --- a conversation, by its thread
  struct Joined {
    bool planKnown;
    std::uint64_t chunkBytes;  // of the chunks that next() will return, if the plan is cut so
  };
  Joined join(std::size_t index);
  void connected(std::size_t index, const net::BlockingStream& stream);
  void busy(std::size_t index);
  void waiting(std::size_t index, std::uint32_t position);
  // It does not have all of the file: in its next conversation it is asked which chunks.
  void holdsParts(std::size_t index);
  // What to ask the source for now.
  std::vector<ChunkRange> next(std::size_t index);
  void offer(std::size_t index, const wire::ChunksHeld& held);
  void release(std::size_t index, const ChunkRange& range);
  // What a lane found of the chunks that the source sent.
  std::optional<Error> lieOf(std::size_t index) const;
  // Waits until there may be something to ask for again, or it is over.
  void awaitMore();
  ChunkBuffer buffer() { return lanes_.take(plan().chunkBytes); }
  void unused(ChunkBuffer buffer) { lanes_.giveBack(std::move(buffer)); }
  void received(std::size_t index, std::uint64_t chunk, std::size_t bytes, ChunkBuffer buffer);
  struct Left {
    Result<void> why;  // `ok`: it is over
    bool damaged;      // a chunk did not match, and the source does not say that the file changed
    bool again;        // it broke off after it delivered: it may have been restarted
  };
  // Waits until the lanes have verified all that arrived. `changed`: the source says so.
  Left leave(std::size_t index, Result<void> ended, bool changed);

  // --- for the user
  FetchProgress progress() const;
  void report(FetchResult& result) const;
  // Why it ended incomplete: no source is left.
  Error failure(const Lock&) const;
  bool complete(const Lock&) const { return download_.complete(); }

 private:
  enum class PlanState { unknown, adopting, known };

  void offerPart(std::span<const std::uint64_t> held);
  void finish(ArrivedChunk& arrived);
  bool judge(const ArrivedChunk& arrived, bool right);
  void wake(const Lock&);

  const FetchRequest& request_;
  PartFile& part_;
  net::Interrupter& interrupter_;
  ChunkCounts* const chunks_;
  std::shared_ptr<PartialFile> offered_;  // what other peers may fetch; constant once planned

  mutable std::mutex mutex_;           // guards what follows
  std::condition_variable changed_;    // for sources: a chunk came back, the plan is known, over
  std::condition_variable_any ended_;  // for await()
  PlanState planState_ = PlanState::unknown;
  Download download_;
  FetchSources sources_;
  std::uint64_t resumedBytes_ = 0;
  std::size_t working_ = 0;  // threads
  std::size_t idle_ = 0;     // of them wait for changed_
  std::size_t writing_ = 0;  // chunks that the schedule holds and the disk does not yet
  std::optional<Error> failed_;

  FetchLanes lanes_;  // last: they end before the rest
};

}  // namespace espalier::transfer
