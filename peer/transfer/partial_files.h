// Files that others can have before they are whole: those of a push (whole at its sender, growing
// at those who take it), and those that are being fetched. Who is served of a push waits here for
// the chunk that comes next; of a fetch only what is there is given.
//
//   PartialFile:  announced --begin--> growing --add, add …, finish--> whole
//                     |                   |
//                     +-------------------+--end--> ended: never mind (the disk failed, cancelled)
//
// Invariant: a chunk that was added is verified and in the file. Thread-safe; waiting threads hold
// no lock but the file's own condition.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file_descriptor.h"
#include "common/base/guarded.h"
#include "common/base/ids.h"
#include "peer/share/shared_file.h"
#include "peer/transfer/core/chunk_plan.h"

namespace espalier::transfer {

class PartialFile {
 public:
  enum class There { yes, notYet, never };

  // `name`: as others are told it; may come from the network.
  PartialFile(const FileRoot& root, std::uint64_t size, std::string name)
      : root_(root), size_(size), name_(std::move(name)) {}
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  const FileRoot& root() const { return root_; }
  std::uint64_t size() const { return size_; }
  const std::string& name() const { return name_; }

  // --- whoever takes it
  void begin(ChunkPlan plan, FileDescriptor file);  // once, before any add()
  void add(std::uint64_t chunk);
  void finish();  // all chunks are there
  void end();

  // --- whoever serves it
  There awaitPlan(Duration patience);
  There awaitChunk(std::uint64_t chunk, Duration patience);
  // Once awaitPlan() said yes: they do not change any more.
  const ChunkPlan& plan() const { return plan_; }
  int descriptor() const { return file_.get(); }
  bool holds(std::uint64_t chunk) const;
  // A bit a chunk, the lowest of a byte first.
  std::string heldBits() const;
  // False for a file that was whole and has been changed since.
  bool unchanged() const;
  bool ended() const;

 private:
  const FileRoot root_;
  const std::uint64_t size_;
  const std::string name_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool begun_ = false;
  bool ended_ = false;
  ChunkPlan plan_;  // constant once begun
  FileDescriptor file_;
  std::vector<bool> held_;
  std::optional<share::FileStat> whole_;
};

class PartialFiles {
 public:
  // One that is there already under that root, and has not ended, stays: it is further.
  void put(std::shared_ptr<PartialFile> file);
  void remove(const std::shared_ptr<PartialFile>& file);
  std::shared_ptr<PartialFile> find(const FileRoot& root);
  // Ends all: nobody waits any more.
  void endAll();

 private:
  Guarded<std::map<FileRoot, std::shared_ptr<PartialFile>>> files_;
};

}  // namespace espalier::transfer
