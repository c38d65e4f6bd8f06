// Where small files lie between their last byte and their name: written one by one, synced and
// renamed a batch at a time. One thread uses it.
//
//   SmallFiles files(target, state);
//   files.write(0, root, name, data);     // false: somebody else has to deal with this one
//   files.publish(done);                  // done(0, true) once it has its name
//
// Invariants: a name appears only after what is behind it was synced; a part is locked until then.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "common/base/file_descriptor.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "peer/transfer/safe_path.h"
#include "peer/transfer/staging.h"

namespace espalier::transfer {

std::string partName(const FileRoot& root);
// The names of all that lies in a folder for incoming files.
std::set<std::string> partsIn(int folder);

class SmallFiles {
 public:
  // `base` is the user's folder and outlives this. Nothing is made before the first write().
  SmallFiles(int base, StagingFolder incoming) : base_(base), incoming_(std::move(incoming)) {}
  // What was written and not published is there for the next fetch of its root.
  ~SmallFiles() = default;
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;

  // Data that was verified. False when a part is there, or locked.
  Result<bool> write(std::size_t file, const FileRoot& root, const SafeName& name,
                     std::span<const std::byte> data);
  bool full() const;

  // The batch gets its names. `before`: while a file still has its temporary name. `done`: it has
  // its name; or not, because something came there meanwhile.
  using Before = std::function<void(const std::string& path, const FileRoot& root)>;
  using Done = std::function<void(std::size_t file, bool named)>;
  Result<void> publish(const Before& before, const Done& done);
  // The names last as well, also over a crash of the machine.
  void syncFolders();

 private:
  struct Part {
    std::size_t file;
    FileRoot root;
    FileDescriptor descriptor;
    int folder;  // of its name
    std::string leaf;
  };
  Result<int> folderOf(const SafeName& name);

  int base_;
  StagingFolder incoming_;
  std::map<std::vector<std::string>, FileDescriptor> folders_;
  std::vector<Part> parts_;
  std::size_t bytes_ = 0;
};

}  // namespace espalier::transfer
