// Prepares what a user pushes: turns paths into files with names, roots and lists of hashes.
// Called by PushSender (peer/shell), and by PushWork for files that are there already. Stateless;
// any thread. Blocks on the disk.
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
// changes while it is read.
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
  std::string name;  // what the file is called; empty: see preparePush()
};

// Reads and hashes files, and everything below folders but symbolic links, state folders, and what
// is no file. A file is called by the last component of its path; a file in a folder, by the
// folder's name and its path below that.
Result<PreparedPush> preparePush(const std::vector<PushPath>& paths, std::stop_token stop,
                                 const HashedBytes& hashed);

}  // namespace espalier::transfer
