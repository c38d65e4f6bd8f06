// The schedule of one push at a peer that takes it: which chunks to ask for on which stripe
// (peer/core/push_sources.h), and which file to open next.
//
//   file:   unopened --opened--> open --published--> finished
//              |                                        ^
//              +------------- alreadyThere -------------+
//   chunk:  as in ChunkMap. Its asker is the stripe that it belongs to.
//
// Files are opened in their order, limits::kPushFilesOpen at a time. deal() changes the number of
// stripes; then everything that was asked for and has not arrived is missing again.
//
// Invariants: those of ChunkMap; a stripe is asked only for chunks that belong to it.
//
// Does no I/O. Not thread-safe: PushWork calls it under its mutex. next() costs O(files open), and
// O(1) amortised for each chunk.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/wire/push.h"
#include "peer/core/push_sources.h"
#include "peer/transfer/core/chunk_map.h"

namespace espalier::transfer {

class PushSchedule {
 public:
  // A run of chunks of one file.
  struct Request {
    std::size_t file = 0;  // its place among the files of the push
    bool list = false;     // ask for the list of hashes before the chunks
    std::uint64_t first = 0;
    std::uint32_t count = 0;
    std::uint64_t deal = 0;  // the number of the deal in which it was made
  };

  explicit PushSchedule(std::vector<wire::PushFile> files);

  const wire::PushFile& file(std::size_t place) const { return files_[place].file; }
  std::size_t files() const { return files_.size(); }
  std::uint64_t chunkBytes(std::size_t place) const;
  std::uint64_t bytesOf(std::size_t place, std::uint64_t chunk) const;

  // Into how many stripes the chunks are dealt; one at first. Returns whether that is new.
  bool deal(std::size_t stripes);

  // --- what to ask for
  // Whether an open file has a chunk that this stripe can be asked for.
  bool wants(std::size_t stripe);
  // Asks the stripe for a run of chunks. Nothing when wants() is false.
  std::optional<Request> next(std::size_t stripe);
  // What of the request has not arrived is missing again. Ignored after a later deal.
  void release(std::size_t stripe, const Request& request);

  // --- files
  // The next file to open, when this stripe has nothing to do and not too many files are open.
  std::optional<std::size_t> toOpen(std::size_t stripe) const;
  void opened(std::size_t place);
  // The file was complete before the push; it was the next to open.
  void alreadyThere(std::size_t place);
  // The list of hashes is known. `held`: chunks of an earlier run, which are on the disk.
  void learned(std::size_t place, std::span<const std::uint64_t> held);
  // A verified chunk was written, from any source. Returns whether it is new.
  bool obtained(std::size_t place, std::uint64_t chunk);
  // Whether all chunks of an open file are held.
  bool isComplete(std::size_t place) const;
  void published(std::size_t place);

  bool isDone() const { return finished_ == files_.size(); }
  std::uint64_t heldBytes() const { return heldBytes_; }

 private:
  struct File {
    wire::PushFile file;
    std::optional<ChunkMap> chunks = {};  // while it is open
    bool listKnown = false;
    std::array<std::uint64_t, peer::kPushStripes> from = {};  // no chunk before it to ask for
    std::array<bool, peer::kPushStripes> listAsked = {};
  };
  bool isWanted(const File& file, std::size_t stripe, std::uint64_t chunk) const;
  File* wanted(std::size_t stripe);

  std::vector<File> files_;
  std::size_t toOpen_ = 0;         // the place of the next file to open
  std::vector<std::size_t> open_;  // places, in order
  std::size_t finished_ = 0;       // files
  std::uint64_t heldBytes_ = 0;
  std::size_t stripes_ = 1;
  std::uint64_t deals_ = 0;
};

}  // namespace espalier::transfer
