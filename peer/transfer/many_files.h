// Fetches many small files (of one chunk) from the peers that hold them: a connection a holder, and
// so many requests ahead on it that neither the way nor the disk is waited for.
//
// A file takes no search, connection, list of hashes or thread of its own. Each is verified,
// written as `<root>.part` and locked as PartFile does, so both may work side by side; the names
// appear a batch at a time, when what is behind them was synced together. A kill leaves parts,
// which the next fetch of that root verifies and takes.
//
// Whatever is out of the ordinary is left to Downloader: something has the name already, the root
// stands twice in the list, a part is there, a file is empty or has several chunks, its name is not
// to be written, a holder failed where another one is left. fetchMany() says which files those are.
//
// Blocks; has a thread a holder (limits::kFetchSources at most), all joined when it returns.
// Thread-safe.
#pragma once

#include <cstddef>
#include <functional>
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
};

// One that is there now, whole, verified and synced: `file` of the request, from `holder`. Called
// by one thread at a time, not always the same.
using FetchedCallback = std::function<void(std::size_t file, std::size_t holder)>;

struct ManyResult {
  // Those that were not fetched: why, or nothing where Downloader is to be asked.
  std::vector<std::pair<std::size_t, std::optional<Error>>> left;
};

Result<ManyResult> fetchMany(const ManyRequest& request, const DownloaderOptions& options,
                             std::stop_token stop, const FetchedCallback& fetched);

}  // namespace espalier::transfer
