// Takes the files of one push from whoever it is told to, a stripe each (push_work.h): a source
// that breaks off is told once, then another one is waited for.
//
//   PushReceiver receiver(files, options, store, events);    // starts its threads
//   receiver.takeFrom(0, 1, {id, endpoint});                 // from now on, what is missing
//
// A thread a stripe, joined by the destructor. Events are called from them, never two at a time;
// after `completed` or `failed` there are no more.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "common/wire/push.h"
#include "peer/core/push_jobs.h"
#include "peer/core/push_sources.h"
#include "peer/transfer/chunk_buffer.h"
#include "peer/transfer/push_work.h"

namespace espalier::transfer {

struct PushReceiverOptions {
  PushWork::Options work;
  Timeouts timeouts{limits::kConnectTimeout, limits::kPushSilence};
  RateLimit* rate = nullptr;  // of all downloads
};

struct PushEvents {
  std::function<void(std::size_t stripe, const PeerId& source, peer::PushTrouble trouble,
                     const Error& why)>
      sourceFailed;
  std::function<void()> completed;
  std::function<void(const Error& why)> failed;
};

class PushReceiver {
 public:
  PushReceiver(std::vector<wire::PushFile> files, PushReceiverOptions options, PartialFiles& store,
               PushEvents events);
  ~PushReceiver();
  PushReceiver(const PushReceiver&) = delete;
  PushReceiver& operator=(const PushReceiver&) = delete;

  // An error where the system had no threads for it: nothing is taken then, and no event comes.
  const Result<void>& started() const { return started_; }

  // As PushTakeFrom. `patience`: with signs of life in place of an answer.
  void takeFrom(std::size_t stripe, std::size_t stripes, const Holder& source, Duration patience);

  // So far, of all files.
  std::uint64_t heldBytes() const { return work_.heldBytes(); }
  std::uint64_t receivedBytes() const { return work_.receivedBytes(); }
  std::vector<PeerId> sources() const;  // each once

 private:
  struct Source {
    Holder holder;
    Duration patience;
    net::Interrupter interrupter;
    std::unique_ptr<HolderConnection> connection;
    bool delivered = false;  // since it was dialled
    Source(const Holder& from, Duration enough) : holder(from), patience(enough) {}
  };
  struct Lane {
    std::size_t stripe = 0;
    ChunkBuffer buffer;
    std::shared_ptr<Source> source;  // guarded by mutex_
  };

  void run(Lane& lane);
  bool awaitWork(Lane& lane);
  Result<void> converse(Lane& lane, Source& source, std::deque<PushWork::Request>& asked);
  Result<void> ask(Lane& lane, Source& source, std::deque<PushWork::Request>& asked);
  Result<void> receiveList(const PushWork::Request& request, Source& source);
  Result<void> receiveChunks(const PushWork::Request& request, Lane& lane, Source& source);
  void dropSource(Lane& lane, const std::shared_ptr<Source>& source, const Error& why);
  void changed();
  void end(const std::function<void()>& event);

  const PushReceiverOptions options_;
  const PushEvents events_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::uint64_t changes_ = 0;
  std::array<Lane, peer::kPushStripes> lanes_;

  std::mutex eventsMutex_;  // held while one is called
  bool over_ = false;

  std::stop_source stop_;
  PushWork work_;
  Result<void> started_;
  std::vector<std::jthread> threads_;  // last: they use the rest
};

}  // namespace espalier::transfer
