// Files that other peers can have before they are whole: those of a push (whole at the sender,
// growing at the peers that take it), and those that are being fetched. Readers of a push block
// until the chunk arrives; readers of a fetch fail (ServePolicy, upload.h).
//
//   PartialFile:  announced --begin--> growing --add, add …, finish--> whole
//                     |                   |
//                     +-------------------+--end--> ended: the disk failed, or it was cancelled
//
// Written by PartFile and preparePush(), read by the threads of upload slots. The fetches and
// the pushes of a peer have a PartialFiles each. Which chunks are missing or asked for is not kept
// here, but in ChunkMap.
//
// Invariant: a chunk that was added is verified and in the file. Thread-safe. A thread that waits
// holds no lock.
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

  // `name`: as other peers are told it; may come from the network.
  PartialFile(const FileRoot& root, std::uint64_t size, std::string name)
      : root_(root), size_(size), name_(std::move(name)) {}
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  const FileRoot& root() const { return root_; }
  std::uint64_t size() const { return size_; }
  const std::string& name() const { return name_; }

  // --- called by the thread that receives the file
  void begin(ChunkPlan plan, FileDescriptor file);  // once, before any add()
  void add(std::uint64_t chunk);
  void finish();  // all chunks are there
  void end();

  // --- called by the threads that serve it
  // `patience`: how long to wait at most. `never` once the file has ended.
  There awaitPlan(Duration patience) const;
  There awaitChunk(std::uint64_t chunk, Duration patience) const;
  // After awaitPlan() returned `yes`. Constant.
  const ChunkPlan& plan() const { return plan_; }
  int descriptor() const { return file_.get(); }
  bool holds(std::uint64_t chunk) const;
  // A bit a chunk, the lowest of a byte first.
  std::string heldBits() const;
  // False for a file that was whole and has been changed since.
  bool unchanged() const;
  // 0 ended, 1 announced, 2 growing, 3 whole.
  int progress() const;

 private:
  const FileRoot root_;
  const std::uint64_t size_;
  const std::string name_;
  mutable std::mutex mutex_;  // guards what follows
  mutable std::condition_variable changed_;
  bool begun_ = false;
  bool ended_ = false;
  ChunkPlan plan_;  // constant once begun
  FileDescriptor file_;
  std::vector<bool> held_;
  std::optional<share::FileStat> whole_;  // the version that was whole
};

// By root. Several pushes may name one root, and some of them may be hostile and bring nothing; so
// each has its own file here, and the one that is farthest is served.
class PartialFiles {
 public:
  void put(std::shared_ptr<PartialFile> file);
  void remove(const std::shared_ptr<PartialFile>& file);
  // O(files of that root).
  std::shared_ptr<PartialFile> find(const FileRoot& root);
  // Ends all of them, so that no thread waits any more.
  void endAll();

 private:
  Guarded<std::map<FileRoot, std::vector<std::shared_ptr<PartialFile>>>> files_;
};

}  // namespace espalier::transfer
