// Where a fetched or pushed file is saved, what is there already, and where its part lies until
// then. Used by Downloader, fetchMany() and PushWork. Holds the user's folder open. One thread uses
// it. Blocks on the disk.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "common/base/file_descriptor.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "peer/transfer/part_file.h"
#include "peer/transfer/safe_path.h"

namespace espalier::transfer {

class Target {
 public:
  enum class Existing { nothing, same, different };

  // `folder` is the user's, `name` may be the network's. An error when nothing can be written
  // there.
  static Result<Target> locate(const std::string& folder, std::string_view name,
                               const DotNames& dots);

  // Reads and hashes the file that has the name, if it has that size. A file that cannot be read is
  // `different`. Anything else than a file that has the name is an error.
  Result<Existing> compare(const FileRoot& root, std::uint64_t size, std::stop_token stop) const;

  // The folder for the part, on the target's file system: in the state folder, else beside the
  // target.
  Result<PartFolder> partFolder(const std::string& stateFolder) const;

  // Removes the folder that partFolder() made beside the target, if it is empty.
  void removePartFolder() const;

  // The folder that the file goes into; made where missing.
  Result<FileDescriptor> folder() const;
  const std::string& leaf() const { return name_.leaf(); }
  // As the user reads it.
  std::string path() const;

 private:
  Target(std::string folder, FileDescriptor base, SafeName name)
      : folder_(std::move(folder)), base_(std::move(base)), name_(std::move(name)) {}

  std::string folder_;
  FileDescriptor base_;
  SafeName name_;
};

}  // namespace espalier::transfer
