// Receives the files of one push: a thread a stripe, each with the source that takeFrom() names.
// PushWork decides which chunk to ask for, and verifies and writes it. When a source fails, the
// event `sourceFailed` says so, and the stripe waits for the next takeFrom().
//
//   PushReceiver receiver(files, options, store, events);    // starts its threads
//   receiver.takeFrom(0, 1, {id, endpoint}, patience);       // takes what is missing from there
//
// Made by PushDesk (peer/shell) for each push that is accepted, which carries out the effects of
// the core (peer/core/push.h). The threads are joined by the destructor. They call the events, one
// at a time; after `completed` or `failed` there are no more. All other functions may be called by
// any thread, and never wait for a disk or a connection.
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
#include "peer/transfer/chunk_client.h"
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
  // Chunks arrive: with the first one, and then every limits::kPushIdle / 4 at most. May be empty.
  std::function<void()> progressed = {};
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

  // An error when the system had no threads left: then nothing is taken, and no event comes.
  const Result<void>& started() const { return started_; }

  // As PushTakeFrom. `patience`: how long the source may send signs of life in place of an answer.
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
    std::unique_ptr<ChunkClient> client;
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
  Result<bool> receive(Lane& lane, Source& source, const PushWork::Request& request);
  void dropSource(Lane& lane, const std::shared_ptr<Source>& source, const Error& why);
  void changed();
  void tellProgress();
  void end(const std::function<void()>& event);

  const PushReceiverOptions options_;
  const PushEvents events_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::uint64_t changes_ = 0;
  std::array<Lane, peer::kPushStripes> lanes_;

  std::mutex eventsMutex_;  // held while one is called
  bool over_ = false;
  TimePoint progressAt_ = TimePoint::min();  // when `progressed` may be called again

  std::stop_source stop_;
  PushWork work_;
  Result<void> started_;
  std::vector<std::jthread> threads_;  // last: they use the rest
};

}  // namespace espalier::transfer
