// What a user pushes: paths become files with names, roots and lists of hashes.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "common/base/file_descriptor.h"
#include "common/base/result.h"
#include "common/wire/push.h"
#include "peer/share/hash_file.h"
#include "peer/transfer/core/chunk_plan.h"
#include "peer/transfer/partial_files.h"

namespace espalier::transfer {

struct OpenedPush {
  FileDescriptor file;
  ChunkPlan plan;  // cut as for a push
};
using share::HashedBytes;

// Reads and hashes a file of that size. An error of code `failed` when it has another one, or
// changes meanwhile.
Result<OpenedPush> openPushed(const std::string& path, std::uint64_t size, std::stop_token stop,
                              const HashedBytes& hashed);

struct PreparedPush {
  std::vector<wire::PushFile> files;
  std::vector<std::shared_ptr<PartialFile>> opened;  // whole, in the same order
  std::uint64_t bytes = 0;
};

struct PushPath {
  PushPath(std::string path, std::string name = {})
      : path(std::move(path)), name(std::move(name)) {}
  std::string path;
  std::string name;  // of a file: what it is called; empty: see preparePush()
};

// Files, and all below folders but symbolic links, `.espalier`s, and what is no file. A file is
// called by its last component, one of a folder also by that. Blocks, reads everything once.
Result<PreparedPush> preparePush(const std::vector<PushPath>& paths, std::stop_token stop,
                                 const HashedBytes& hashed);

}  // namespace espalier::transfer
