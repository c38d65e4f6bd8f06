// The chunk hashes of shared files that have more than one chunk. On disk: a file for each root, in
// `chunks/` of the state folder. In memory: only those used last, at most kChunkListCacheBytes.
//
// A list is checked against its root when it is read. A damaged or missing list is not an error:
// find() returns nothing, and ShareIndex computes it again from the file.
//
// Thread-safe; store() and find() read and write the disk outside the lock. The hash lanes and
// ShareIndex store, ShareIndex finds, the indexer tidies once.
#pragma once

#include <functional>
#include <list>
#include <optional>
#include <span>
#include <vector>

#include "common/base/fs.h"
#include "common/base/guarded.h"
#include "common/base/ids.h"
#include "common/base/result.h"

namespace espalier::share {

class ChunkLists {
 public:
  explicit ChunkLists(fs::path folder) : folder_(std::move(folder)) {}

  Result<void> store(const FileRoot& root, std::span<const Digest> chunks);
  // Hashes of chunks of chunkBytesFor(sizeBytes).
  std::optional<std::vector<Digest>> find(const FileRoot& root, std::uint64_t sizeBytes);
  // Removes the lists of all other roots from the disk.
  void keepOnly(const std::function<bool(const FileRoot&)>& wanted);

 private:
  struct Cached {
    FileRoot root;
    std::vector<Digest> chunks;
  };
  struct Cache {
    std::list<Cached> lists;  // the last used first; few, so that a search is cheap
    std::size_t bytes = 0;
  };
  fs::path pathOf(const FileRoot& root) const;
  void remember(const FileRoot& root, std::vector<Digest> chunks);

  fs::path folder_;
  Guarded<Cache> cache_;
};

}  // namespace espalier::share
