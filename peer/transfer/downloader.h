// Fetches one file from the peers that hold it. Every byte is verified before it is written. The
// name appears only when the file is whole and synced. What is incomplete is kept for the next try.
//
//   Downloader downloader({.stateFolder = "s2/.espalier"});
//   auto result = downloader.fetch({root, size, holders, "./s2", "docs/f3.txt"}, stop, progress);
//
// Errors, by code: `failed` (an existing file differs, the name cannot be used, no peer shares it
// any more), `io` (disk, connections), `timeout` (holders silent or busy), `protocol` (holders
// lie), `interrupted`. Unless the disk failed, the next fetch resumes from the chunks that were
// written.
//
// Called by FileDownloads (peer/shell), on the thread of a command. Thread-safe. fetch() blocks. It
// starts a thread a source (limits::kFetchSources at most), all
// joined when it returns. `progress` is called by the caller's thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "peer/transfer/chunk_counts.h"
#include "peer/transfer/dial_targets.h"
#include "peer/transfer/holder_connection.h"
#include "peer/transfer/partial_files.h"
#include "peer/transfer/safe_path.h"

namespace espalier::transfer {

// The holders that claim that a root stands for a file of this size.
struct SizeClaim {
  std::uint64_t size = 0;
  std::vector<Holder> holders;
};

struct FetchRequest {
  FileRoot root;
  std::uint64_t size = 0;
  std::vector<Holder> holders;
  std::string folder;  // the user's; it exists, and links in it are followed
  std::string saveAs;  // below it; may come from the network (SafeName); missing folders are made
  bool force = false;  // an existing different file is replaced
  DotNames dots = DotNames::none();
  // Searches for peers that hold the file or parts of it by now, and claim this size. Called now
  // and then while it is fetched, on a thread of its own. May be empty.
  std::function<std::vector<Holder>(std::uint64_t size, std::stop_token stop)> search = {};
  // Where servers find what has been fetched so far. May be null.
  PartialFiles* partialFiles = nullptr;
  // Other sizes that are claimed for the root. One size after the other is tried (size_claims.h),
  // so a liar only costs time.
  std::vector<SizeClaim> otherSizes = {};
  // What all fetches of a command share; null: one for this fetch.
  std::shared_ptr<DialTargets> dials = nullptr;
};

struct SourceReport {
  PeerId id;
  std::uint64_t bytes = 0;  // that were right and used
  std::optional<Error> problem;
};

struct FetchResult {
  std::string path;
  std::uint64_t size = 0;
  bool alreadyThere = false;       // the file existed with this root: nothing was fetched
  std::uint64_t resumedBytes = 0;  // of an earlier try
  std::uint64_t wastedBytes = 0;   // that arrived twice
  Duration elapsed{};
  std::vector<SourceReport> sources;  // of those that were dialled
};

struct FetchProgress {
  struct Source {
    PeerId id;
    std::uint64_t bytes = 0;
    double bytesPerSecond = 0;
    std::uint32_t position = 0;  // in its queue; 0: it sends
  };
  std::uint64_t size = 0;
  std::uint64_t heldBytes = 0;  // resumedBytes among them
  std::uint64_t resumedBytes = 0;
  std::vector<Source> sources;  // that are connected
};
using ProgressCallback = std::function<void(const FetchProgress&)>;

// Called for a file that is whole, verified and synced, while it still has its temporary name, so
// that the share learns its root without hashing it again. Called by the caller's thread.
using VerifiedCallback = std::function<void(const std::string& path, const FileRoot& root,
                                            std::span<const Digest> chunkHashes)>;

struct DownloaderOptions {
  std::string stateFolder;  // made when missing; incoming files lie in its folder `incoming`
  Timeouts timeouts;
  Duration progressInterval = std::chrono::milliseconds(100);
  RateLimit* rate = nullptr;  // of all downloads; outlives the downloader
  VerifiedCallback verified;
  ChunkCounts* chunks = nullptr;  // to count in; outlives the downloader
};

class Downloader {
 public:
  explicit Downloader(DownloaderOptions options) : options_(std::move(options)) {}
  const DownloaderOptions& options() const { return options_; }

  Result<FetchResult> fetch(const FetchRequest& request, std::stop_token stop,
                            const ProgressCallback& progress = {}) const;

 private:
  Result<FetchResult> fetchOfSize(const FetchRequest& request, std::stop_token stop,
                                  const ProgressCallback& progress) const;

  DownloaderOptions options_;
};

}  // namespace espalier::transfer
