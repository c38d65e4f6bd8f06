// The chunk hashes of files of more than one chunk, a file a root in `chunks/` of the state folder,
// so that memory holds only the lists of files being served. They are checked against their root
// when read: a list that is damaged or missing is only a list to be computed again.
//
// Thread-safe; store() and find() read and write disk outside the lock.
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
  // In chunks of chunkBytesFor(sizeBytes).
  std::optional<std::vector<Digest>> find(const FileRoot& root, std::uint64_t sizeBytes);
  // Removes the lists of all other roots from the disk.
  void keepOnly(const std::function<bool(const FileRoot&)>& wanted);

 private:
  struct Cached {
    FileRoot root;
    std::vector<Digest> chunks;
  };
  struct Cache {
    std::list<Cached> lists;  // the one used last comes first; few enough to be searched
    std::size_t bytes = 0;
  };
  fs::path pathOf(const FileRoot& root) const;
  void remember(const FileRoot& root, std::vector<Digest> chunks);

  fs::path folder_;
  Guarded<Cache> cache_;
};

}  // namespace espalier::share
