// Fetches many small files (of one chunk) from the peers that hold them, on one connection a
// holder. Many requests are sent ahead (core/batch_schedule.h), so that neither the round trip nor
// the disk is waited for.
//
// A file takes no search, connection, list of hashes or thread of its own. Each is verified and
// written as a PartFile; the names appear in batches that were synced together (part_batch.h).
// After a kill the parts remain, and the next fetch of that root verifies and takes them.
//
// Everything unusual is left to Downloader: files that are not ordinary (batch_plan.h), and those
// whose holder failed while another one remains. fetchMany() returns which files those are.
//
// Called by ManyDownload (peer/shell), on the thread of a command. Thread-safe. Blocks. It starts a
// thread a holder (limits::kFetchSources at most), all joined when it returns.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "peer/transfer/downloader.h"

namespace espalier::transfer {

struct ManyFile {
  FileRoot root;
  std::uint64_t size = 0;
  std::string saveAs;                // below the folder; may come from the network (SafeName)
  std::vector<std::size_t> holders;  // of the request's
};

struct ManyRequest {
  std::vector<Holder> holders;
  std::string folder;  // the user's; it exists
  std::vector<ManyFile> files;
  DotNames dots = DotNames::none();
  // What all fetches of a command share; null: one for this fetch.
  std::shared_ptr<DialTargets> dials = nullptr;
};

// Called when a file has its name, whole, verified and synced: `file` of the request, from
// `holder`. Called by one thread at a time, not always the same.
using FetchedCallback = std::function<void(std::size_t file, std::size_t holder)>;

struct ManyResult {
  // The files that were not fetched, and why; nothing when Downloader should fetch it.
  std::vector<std::pair<std::size_t, std::optional<Error>>> left;
};

Result<ManyResult> fetchMany(const ManyRequest& request, const DownloaderOptions& options,
                             std::stop_token stop, const FetchedCallback& fetched);

}  // namespace espalier::transfer
