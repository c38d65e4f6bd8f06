// How far indexing has come: a value, published by the indexer, read by `status` and by tests.
#pragma once

#include <cstdint>

namespace espalier::share {

struct IndexingProgress {
  // Everything found so far is hashed. Files that changed while they were hashed do not count: they
  // may change for ever.
  bool ready = false;
  bool scanning = true;  // the first scan is not complete: the totals still grow
  std::uint64_t hashedFiles = 0;
  std::uint64_t totalFiles = 0;
  std::uint64_t hashedBytes = 0;
  std::uint64_t totalBytes = 0;
  // Read by this process for hashing: 0 after a restart with nothing new.
  std::uint64_t readBytes = 0;
  // All changes up to this ticket (ShareIndex::awaitPublished) are published.
  std::uint64_t publishedTicket = 0;
};

}  // namespace espalier::share
