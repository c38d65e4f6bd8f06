// The files of one push at a peer that takes it: opens them, writes what arrives, publishes them.
// Which chunk to ask for is decided by PushSchedule; this class does the I/O around it, for the
// threads of PushReceiver, one a stripe.
//
//   next(stripe) --> a run of chunks, with the list of their hashes where it is unknown
//     learn() the list; received() each chunk, which is verified, written, and then served to
//     other peers (partial_files.h); release() the chunks that did not arrive
//
// A file is published when it is complete and synced. What is incomplete is kept, so a push that is
// repeated resumes.
//
// Thread-safe. Errors of code `failed` are of this peer's own disk; the push has failed then.
// Locks, in the order in which they are taken: `opening_` or `Incoming::learning` while a file is
// opened or hashed, then `mutex_`, which is never held over I/O, because an event loop waits for it
// in deal().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "common/wire/push.h"
#include "peer/core/push_sources.h"
#include "peer/transfer/core/push_schedule.h"
#include "peer/transfer/downloader.h"
#include "peer/transfer/partial_files.h"
#include "peer/transfer/target.h"

namespace espalier::transfer {

class PushWork {
 public:
  struct Options {
    std::string downloads;    // the user's folder; it exists
    std::string stateFolder;  // as DownloaderOptions
    VerifiedCallback verified;
    ChunkCounts* chunks = nullptr;  // to count in
  };
  using Request = PushSchedule::Request;

  // `changed` is called, from any thread, when next() or isDone() may return something else.
  PushWork(std::vector<wire::PushFile> files, Options options, PartialFiles& store,
           std::stop_token stop, std::function<void()> changed);
  ~PushWork();
  PushWork(const PushWork&) = delete;
  PushWork& operator=(const PushWork&) = delete;

  // As PushSchedule::deal(). Never waits for a disk.
  bool deal(std::size_t stripes);

  // As PushSchedule::wants() and next(). They open further files where the open ones have nothing
  // for the stripe, and hash what lies there already.
  Result<bool> wants(std::size_t stripe);
  Result<std::optional<Request>> next(std::size_t stripe);
  void release(std::size_t stripe, const Request& request);

  const wire::PushFile& fileOf(const Request& request) const {
    return schedule_.file(request.file);
  }
  std::uint64_t chunkBytesOf(const Request& request) const {
    return schedule_.chunkBytes(request.file);
  }
  std::uint64_t bytesOf(const Request& request, std::uint64_t chunk) const {
    return schedule_.bytesOf(request.file, chunk);
  }
  // Takes a list that belongs to the root.
  Result<void> learn(const Request& request, ChunkPlan plan);
  // Takes a chunk; the list of hashes is known. An error of code `protocol` when it is damaged. A
  // chunk that arrived before is dropped.
  Result<void> received(const Request& request, std::uint64_t chunk,
                        std::span<const std::byte> data);

  bool isDone() const;
  // wants() of the stripe was false because another fetch or push has the next file open: to be
  // asked again.
  bool isHeldUp(std::size_t stripe) const { return heldUp_[stripe]; }
  // So far, of all files.
  std::uint64_t heldBytes() const;
  std::uint64_t receivedBytes() const { return receivedBytes_; }

 private:
  struct Incoming;  // an open file
  Result<bool> openUntilWanted(std::size_t stripe);
  std::optional<std::size_t> toOpen(std::size_t stripe) const;
  Result<bool> open(std::size_t place);
  Result<bool> isThere(std::size_t place, const Target& target);
  Result<void> keepExisting(std::size_t place, const std::string& path);
  Result<std::vector<std::uint64_t>> begin(std::size_t place, Incoming& incoming, ChunkPlan plan);
  std::shared_ptr<Incoming> incoming(std::size_t place) const;
  Result<void> publish(std::size_t place, Incoming& incoming);

  const Options options_;
  PartialFiles& store_;
  const std::stop_token stop_;
  const std::function<void()> changed_;
  std::vector<std::shared_ptr<PartialFile>> partial_;  // of each file: what other peers may fetch
  std::atomic<std::uint64_t> receivedBytes_{0};
  std::array<std::atomic<bool>, peer::kPushStripes> heldUp_{};

  std::mutex opening_;

  mutable std::mutex mutex_;  // guards what follows
  PushSchedule schedule_;
  std::vector<std::shared_ptr<Incoming>> incoming_;  // of each file, while it is open
};

}  // namespace espalier::transfer
