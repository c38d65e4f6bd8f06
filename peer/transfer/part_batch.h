// Files of one chunk that are published in batches: each is written as a PartFile, and many are
// synced together, because one sync of the file system is far cheaper than one of each file.
//
//   PartBatch batch(downloads, incoming);
//   batch.write(0, plan, name, data);     // false: another fetch deals with this file
//   batch.publish(before, done);          // calls done(0, true) once the file has its name
//
// Invariants: a name appears only after the bytes of its file were synced; a part stays locked
// until then. Used by a thread of fetchMany(), one each. Blocks on the disk.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/file_descriptor.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "peer/transfer/part_file.h"
#include "peer/transfer/safe_path.h"

namespace espalier::transfer {

class PartBatch {
 public:
  // `base` is the user's folder and outlives this. No folder is created before the first write().
  PartBatch(int base, PartFolder incoming)
      : base_(base), incoming_(std::make_shared<PartFolder>(std::move(incoming))) {}
  // A file that was written and not published is found by the next fetch of its root.
  ~PartBatch() = default;
  PartBatch(const PartBatch&) = delete;
  PartBatch& operator=(const PartBatch&) = delete;

  // Writes verified data: the only chunk of `plan`. False when there is a part of that root
  // already, or another fetch has it locked. `file` is the caller's number for it.
  Result<bool> write(std::size_t file, const ChunkPlan& plan, const SafeName& name,
                     std::span<const std::byte> data);
  // Whether it is time to publish().
  bool full() const;

  // Called while a file still has its temporary name.
  using Before = std::function<void(const std::string& path, const FileRoot& root)>;
  // `named` is false when another file has taken the name.
  using Done = std::function<void(std::size_t file, bool named)>;
  // Syncs all files that were written, and gives each its name.
  Result<void> publish(const Before& before, const Done& done);
  // Syncs the folders, so that a crash of the machine does not take the names back.
  void syncFolders();

 private:
  struct Part {
    std::size_t file;
    FileRoot root;
    PartFile part;
    int folder;  // where it gets its name
    std::string leaf;
  };
  Result<int> folderOf(const SafeName& name);

  int base_;
  std::shared_ptr<const PartFolder> incoming_;
  std::map<std::vector<std::string>, FileDescriptor> folders_;
  std::vector<Part> parts_;
  std::size_t bytes_ = 0;
};

}  // namespace espalier::transfer
