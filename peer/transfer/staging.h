// Where a file lies until it is whole: `<root>.part`, and beside it `<root>.journal`, which says
// how the file is cut, the hash of each chunk, and which chunks were written.
//
//   absent --open--> open --begin--> filling --sync, publish--> absent, and the file under its name
//                      |                |
//                      +----------------+--- closed or killed: the next open() goes on
//
// Invariants: only verified chunks are written, each marked after it was. After a kill at any
// moment open() trusts nothing that it has not hashed again; after a kill of the process (not of
// the machine) everything that was written is found. One process at a time has a root's part open.
//
// The journal: 8 bytes of magic, root, size and chunk size (8 bytes each, little-endian), 32 bytes
// a chunk hash, a byte a chunk (1: written). A file of one chunk has none.
//
// Runs of zeros are left out as holes (disk.h), so a sparse file needs the space of its data only.
// Whether it fits is asked of its whole size at the start, because nobody says where its holes are.
//
// write() may be called by several threads for different chunks, and beside reserveMore(); all else
// by one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/file_descriptor.h"
#include "common/base/ids.h"
#include "common/base/result.h"

namespace espalier::transfer {

// How a file is cut, and what each piece hashes to. Trustworthy once matches() said so.
struct ChunkPlan {
  FileRoot root;
  std::uint64_t size = 0;
  std::uint64_t chunkBytes = 0;
  std::vector<Digest> hashes;

  // What is known without asking: a file of at most one chunk.
  static std::optional<ChunkPlan> ofSmall(const FileRoot& root, std::uint64_t size);

  bool matches() const;
  std::uint64_t offset(std::uint64_t chunk) const { return chunk * chunkBytes; }
  std::uint64_t bytesOf(std::uint64_t chunk) const;
  bool isRight(std::uint64_t chunk, std::span<const std::byte> data) const;
};

// Memory for a chunk: aligned to pages, zero-filled by the kernel.
class ChunkBuffer {
 public:
  ChunkBuffer() = default;
  // At least so much; kept when it is enough.
  void reserve(std::size_t bytes);
  std::span<std::byte> first(std::size_t bytes) { return {data_.get(), bytes}; }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t bytes_ = 0;
};

struct StagingFolder {
  FileDescriptor descriptor;
  std::string path;
};

class Staging {
 public:
  // In `folder`, which must be on the file system of the final place. An error of code `failed`
  // when this root is being fetched already, `configuration` when a newer version began to fetch
  // it. `size` as it is said to be: nothing is written yet.
  static Result<Staging> open(StagingFolder folder, const FileRoot& root, std::uint64_t size);

  // An error of code `io` when the disk has no room for a file of that size now.
  Result<void> roomFor(std::uint64_t size) const;

  std::string partPath() const { return path_ + "/" + partName(); }

  // What an earlier run left, if its list of hashes belongs to the root.
  const std::optional<ChunkPlan>& earlierPlan() const { return earlierPlan_; }
  // Whether it left something that only begin() can tell from nothing: its journal is damaged or
  // lost. Constant.
  bool mayHoldUnknown() const { return hadData_ && !earlierPlan_; }

  // Makes room for a file whose plan matches; an error of code `io` when the disk has none. Calls
  // `held` for each chunk of an earlier run that hashes right.
  Result<void> begin(const ChunkPlan& plan, const std::function<void(std::uint64_t)>& held,
                     std::stop_token stop);
  // Reserves some of the space; false once all of it is, or where that gains nothing (tmpfs).
  // Another thread may write meanwhile.
  Result<bool> reserveMore();
  // A chunk whose hash is right.
  Result<void> write(const ChunkPlan& plan, std::uint64_t chunk, std::span<const std::byte> data);
  Result<void> sync();
  // Renamed to `leaf` in `target`. Without `replace` nothing that is there is touched:
  // then the result is false.
  Result<bool> publish(int target, const std::string& leaf, bool replace);

 private:
  Staging(StagingFolder folder, std::string name)
      : folder_(std::move(folder.descriptor)), path_(std::move(folder.path)), name_(name) {}
  std::string partName() const { return name_ + ".part"; }
  std::string journalName() const { return name_ + ".journal"; }
  Result<void> openPart();
  Result<void> readJournal(const FileRoot& root, std::uint64_t size);
  void markData(const ChunkPlan& plan);
  Result<void> makeRoom(std::uint64_t size);
  Result<void> leaveHole(std::uint64_t offset, std::span<const std::byte> zeros);
  Result<void> writeJournal(const ChunkPlan& plan);
  bool holdsAll(const ChunkPlan& plan);
  Result<void> verifyWritten(const ChunkPlan& plan, const std::function<void(std::uint64_t)>& held,
                             std::stop_token stop);

  FileDescriptor folder_;
  std::string path_;
  std::string name_;
  FileDescriptor part_;
  FileDescriptor journal_;
  std::uint64_t marksAt_ = 0;
  std::uint64_t size_ = 0;
  // What is reserved; behind a pointer, because a Staging is moved.
  struct Room {
    std::mutex mutex;
    std::uint64_t reserved = 0;  // bytes from the beginning
    std::uint64_t slice = 0;     // to reserve next; 0: no more
  };
  std::unique_ptr<Room> room_ = std::make_unique<Room>();
  bool hadData_ = false;   // an earlier run wrote into the part
  bool wasWhole_ = false;  // the part had the size of the file
  bool wasEmpty_ = false;  // nothing was ever written to it
  std::optional<ChunkPlan> earlierPlan_;
  std::vector<char> marks_;  // of the earlier run
};

}  // namespace espalier::transfer
