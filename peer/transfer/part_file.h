// A file that is being received. It has a temporary name, `<root>.part`, until it is whole. Beside
// it lies `<root>.journal` (journal.h): how the file is cut, the hash of each chunk, and which
// chunks were written. A file of one chunk has no journal.
//
//   absent --open, create--> open --begin--> filling --sync, publish--> published under its name
//                              |                |
//                              +----------------+--- closed or killed: the next open() resumes
//
// Invariants:
// - Only verified chunks are written. A chunk is marked in the journal after it was written.
// - begin() hashes whatever an earlier run left, and trusts nothing else. After a kill of the
//   process (not of the machine) everything that was written is found again.
// - Only one PartFile of a root is open at a time, in all processes: the part is locked.
//
// Threads: write() may be called by several threads for different chunks, and while another thread
// is in reserveMore(). All other functions are called by one thread at a time. All of it blocks on
// the disk. Used by Downloader (one file), PartBatch (small files) and PushWork.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/file_descriptor.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "peer/transfer/core/chunk_plan.h"
#include "peer/transfer/part_space.h"
#include "peer/transfer/partial_files.h"

namespace espalier::transfer {

inline constexpr std::string_view kPartEnding = ".part";
inline constexpr std::string_view kJournalEnding = ".journal";

// A folder for incoming files, on the file system of the place where they are published.
struct PartFolder {
  FileDescriptor descriptor;
  std::string path;
};

// The names of everything in an open folder.
std::set<std::string> namesIn(int folder);

class PartFile {
 public:
  // Opens the part of this root, or creates it. `sizeBytes` is a claim: nothing is written yet. An
  // error of code `failed` when the root is being fetched already, `configuration` when a newer
  // version of the program began to fetch it.
  static Result<PartFile> open(std::shared_ptr<const PartFolder> folder, const FileRoot& root,
                               std::uint64_t sizeBytes);
  // Creates the part of a root. Nothing when there is one already, of any fetch.
  static Result<std::optional<PartFile>> create(std::shared_ptr<const PartFolder> folder,
                                                const FileRoot& root);
  static std::string nameOf(const FileRoot& root);

  std::string path() const { return folder_->path + "/" + partName(); }

  // Whether the disk has room for a file of that size now: else an error of code `io`.
  Result<void> roomFor(std::uint64_t sizeBytes) const {
    return PartSpace::roomFor(part_.get(), sizeBytes);
  }
  // The plan that an earlier run wrote into the journal, if it belongs to the root.
  const std::optional<ChunkPlan>& earlierPlan() const { return earlierPlan_; }
  // Whether an earlier run left data of which only begin() can tell what it is, because the journal
  // is damaged or lost.
  bool mayHoldUnknown() const { return hadData_ && !earlierPlan_; }

  // Gives the file its size and starts the journal. `plan` matches its root. Returns the chunks of
  // an earlier run, each hashed again. An error of code `io` when the disk has no room.
  Result<std::vector<std::uint64_t>> begin(ChunkPlan plan, std::stop_token stop);
  // After begin(). Constant.
  const ChunkPlan& plan() const { return plan_; }
  // Tells `partial` of the chunks that are `held`, and from now on of each that is written, so that
  // other peers can fetch them. After begin() and before the first write().
  Result<void> reportTo(std::shared_ptr<PartialFile> partial, std::span<const std::uint64_t> held);
  // As PartSpace::reserveMore(). After begin().
  Result<bool> reserveMore() { return space_->reserveMore(); }
  // Writes a chunk whose hash is right.
  Result<void> write(std::uint64_t chunk, std::span<const std::byte> data);

  Result<void> sync();
  // Renames the part to `leaf` in the folder `target`. Without `replace` nothing that exists is
  // touched: then the result is false. The file is synced before.
  Result<bool> rename(int target, const std::string& leaf, bool replace);
  // rename(), and syncs the folder. Tells the PartialFile of reportTo() that the file is whole.
  Result<bool> publish(int target, const std::string& leaf, bool replace);
  // Removes the part.
  void discard();

 private:
  PartFile(std::shared_ptr<const PartFolder> folder, const FileRoot& root)
      : folder_(std::move(folder)), name_(toHex(root.view())) {}
  std::string partName() const { return name_ + std::string(kPartEnding); }
  std::string journalName() const { return name_ + std::string(kJournalEnding); }
  int folder() const { return folder_->descriptor.get(); }
  Result<void> openPart();
  Result<void> readJournal(const FileRoot& root, std::uint64_t sizeBytes);
  void markData();
  bool isRightOnDisk(std::uint64_t chunk, std::span<std::byte> buffer) const;
  Result<std::vector<std::uint64_t>> verifyMarked(std::stop_token stop);
  Result<void> writeJournal();

  std::shared_ptr<const PartFolder> folder_;
  std::string name_;
  FileDescriptor part_;
  FileDescriptor journal_;
  std::uint64_t marksAt_ = 0;
  ChunkPlan plan_;
  std::unique_ptr<PartSpace> space_;  // once it has begun
  bool hadData_ = false;              // an earlier run wrote into the part
  std::optional<ChunkPlan> earlierPlan_;
  std::vector<char> marks_;  // of the earlier run: a chunk that may be there
  std::shared_ptr<PartialFile> partial_;
};

}  // namespace espalier::transfer
