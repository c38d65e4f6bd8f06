// Takes the files of one push, one after another, from whoever it is told to: each chunk verified
// before it is written, and given on (growing_files.h) as soon as it is. The file has its name when
// it is whole and synced; what is incomplete is kept, so a push that comes again goes on.
//
//   PushReceiver receiver(files, options, store, events);    // starts its thread
//   receiver.takeFrom({id, endpoint});                       // from now on, from the chunk it has
//
// One thread, joined by the destructor. Events are called from it, never two at a time; after
// `completed` or `failed` there are no more. A source that breaks off is told once, then another
// takeFrom() is waited for.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/wire/push.h"
#include "peer/core/push.h"
#include "peer/transfer/downloader.h"
#include "peer/transfer/growing_files.h"

namespace espalier::transfer {

struct PushReceiverOptions {
  std::string downloads;    // the user's folder; it exists
  std::string stateFolder;  // as DownloaderOptions
  Timeouts timeouts{limits::kConnectTimeout, limits::kPushSilence};
  RateLimit* rate = nullptr;  // of all downloads
  VerifiedCallback verified;
};

struct PushEvents {
  std::function<void(const PeerId& source, peer::PushTrouble trouble, const Error& why)>
      sourceFailed;
  std::function<void()> completed;
  std::function<void(const Error& why)> failed;
};

class PushReceiver {
 public:
  PushReceiver(std::vector<wire::PushFile> files, PushReceiverOptions options, GrowingFiles& store,
               PushEvents events);
  ~PushReceiver();
  PushReceiver(const PushReceiver&) = delete;
  PushReceiver& operator=(const PushReceiver&) = delete;

  // `patience`: with signs of life in place of an answer.
  void takeFrom(const Holder& source, Duration patience = limits::kPushPatience);

  // So far, of all files.
  std::uint64_t heldBytes() const { return heldBytes_; }
  std::uint64_t receivedBytes() const { return receivedBytes_; }
  std::optional<PeerId> source() const;

 private:
  struct Source {
    Holder holder;
    Duration patience;
    Interrupter interrupter;
    std::unique_ptr<HolderConnection> connection;
    bool delivered = false;  // since it was dialled
    Source(const Holder& from, Duration enough) : holder(from), patience(enough) {}
  };
  struct Incoming;  // one file

  void run(std::stop_token stop);
  Result<void> take(const wire::PushFile& file, GrowingFile& pushed);
  Result<void> keepExisting(const wire::PushFile& file, const std::string& path,
                            GrowingFile& pushed);
  Result<void> fill(Incoming& incoming);
  Result<void> learnPlan(Incoming& incoming, Source& source);
  Result<void> begin(Incoming& incoming, ChunkPlan plan);
  Result<void> converse(Incoming& incoming, Source& source);
  Result<void> receiveChunk(Incoming& incoming, Source& source);
  Result<void> publish(Incoming& incoming);
  std::shared_ptr<Source> awaitSource();
  void dropSource(const std::shared_ptr<Source>& source, const Error& why);

  const std::vector<wire::PushFile> files_;
  const PushReceiverOptions options_;
  GrowingFiles& store_;
  const PushEvents events_;
  std::vector<std::shared_ptr<GrowingFile>> pushed_;
  std::atomic<std::uint64_t> heldBytes_{0};
  std::atomic<std::uint64_t> receivedBytes_{0};

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::shared_ptr<Source> source_;
  std::stop_token stop_;

  std::jthread thread_;
};

}  // namespace espalier::transfer
