// What is missing of the files of one push, and what becomes of that: for the threads that take
// them, a stripe (push_sources.h) each.
//
//   next(stripe) --> a run of chunks, with the list of their hashes where that is unknown
//     learn() the list, received() each chunk, verified before it is written, and given on from
//     then on (partial_files.h); giveBack() what did not come
//
// Files are opened in their order as they are needed, limits::kPushFilesOpen at a time. A file has
// its name when it is whole and synced; what is incomplete is kept, so a push that comes again goes
// on. Thread-safe. Errors of the code `failed` are of this peer's own disk: then it is over.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "common/wire/push.h"
#include "peer/core/push_sources.h"
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
  };
  struct Incoming;  // one file
  struct Request {
    std::shared_ptr<Incoming> file;
    bool list = false;  // comes before the chunks
    std::uint64_t first = 0;
    std::uint32_t count = 0;
    std::uint64_t deal = 0;  // when it was made
  };

  // `changed` is called, from any thread, when next() or isDone() may say something else.
  PushWork(std::vector<wire::PushFile> files, Options options, PartialFiles& store,
           std::stop_token stop, std::function<void()> changed);
  ~PushWork();
  PushWork(const PushWork&) = delete;
  PushWork& operator=(const PushWork&) = delete;

  // Into how many stripes it is dealt; one at first. Whether that is new: then what was asked for
  // is to be asked for again, in its order, by whoever has it now.
  bool deal(std::size_t stripes);

  // Whether there is something to ask for, and what. They open files, and hash what lies there
  // already.
  Result<bool> wants(std::size_t stripe);
  Result<std::optional<Request>> next(std::size_t stripe);
  void giveBack(std::size_t stripe, const Request& request);

  const wire::PushFile& fileOf(const Request& request) const;
  std::uint64_t chunkBytesOf(const Request& request) const;
  // A list that belongs to the root.
  Result<void> learn(const Request& request, ChunkPlan plan);
  std::uint64_t bytesOf(const Request& request, std::uint64_t chunk) const;
  // Once the list is known. What another thread was faster with is dropped.
  Result<void> received(const Request& request, std::uint64_t chunk,
                        std::span<const std::byte> data);

  bool isDone() const { return published_ == files_.size(); }
  // So far, of all files.
  std::uint64_t heldBytes() const { return heldBytes_; }
  std::uint64_t receivedBytes() const { return receivedBytes_; }

 private:
  Result<std::shared_ptr<Incoming>> find(std::size_t stripe);
  std::shared_ptr<Incoming> findOpen(std::size_t stripe);
  bool isWanted(const Incoming& file, std::size_t stripe, std::uint64_t chunk) const;
  std::optional<Request> ask(const std::shared_ptr<Incoming>& file, std::size_t stripe);
  bool mayOpen(std::size_t stripe) const;
  Result<void> openNext();
  Result<std::shared_ptr<Incoming>> open(std::size_t place);
  Result<void> keepExisting(std::size_t place, const std::string& path);
  Result<void> begin(Incoming& incoming, ChunkPlan plan);
  Result<void> publish(const std::shared_ptr<Incoming>& incoming);

  const std::vector<wire::PushFile> files_;
  const Options options_;
  PartialFiles& store_;
  const std::stop_token stop_;
  const std::function<void()> changed_;
  std::vector<std::shared_ptr<PartialFile>> pushed_;
  std::atomic<std::size_t> published_{0};  // or there already
  std::atomic<std::uint64_t> heldBytes_{0};
  std::atomic<std::uint64_t> receivedBytes_{0};

  std::mutex opening_;  // held while a file is opened; taken before mutex_
  std::size_t opened_ = 0;

  // Guards what follows, and what changes of an Incoming. Held for moments only: an event loop
  // waits for it in deal(), so nothing is read or written meanwhile.
  mutable std::mutex mutex_;
  std::size_t stripes_ = 1;
  std::uint64_t deals_ = 0;
  std::list<std::shared_ptr<Incoming>> open_;
};

}  // namespace espalier::transfer
