// Where a fetched file goes, and what is there already.
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

  // Reads what has the name, if it is of that size. An unreadable file is `different`; whatever
  // else than a file has the name is an error.
  Result<Existing> compare(const FileRoot& root, std::uint64_t size, std::stop_token stop) const;

  // A folder for the incoming file on the target's file system: the state folder's, else one beside
  // the target.
  Result<PartFolder> partFolder(const std::string& stateFolder) const;

  // What partFolder() made beside the target, if nothing is left in it.
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
