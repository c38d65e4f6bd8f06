// The seam between serving bytes and deciding what is shared: what a server (transfer_server.h)
// asks for the files that it serves. Implemented by ShareSource (peer/shell) and, for
// pushes, by PushedFiles (push_server.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "common/base/file_descriptor.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/crypto/file_tree.h"
#include "common/wire/transfer.h"
#include "peer/share/shared_file.h"

namespace espalier::transfer {

class PartialFile;

// A file that is open for reading, and its version when its root was computed. The server compares
// before and after each chunk, so the source does not.
struct ServedFile {
  FileDescriptor descriptor;
  share::FileStat expected;
  // Set when only a part of the file may be here yet.
  std::shared_ptr<const PartialFile> partial = nullptr;
};

// Thread-safe: the server's threads call it at the same time. A root may cease to be shared at any
// moment.
class FileSource {
 public:
  virtual ~FileSource() = default;

  virtual std::optional<wire::FileEntry> find(const FileRoot& root) = 0;
  // The file, if only a part of it may be here yet; nothing when all of it is here.
  virtual std::shared_ptr<const PartialFile> partialFile(const FileRoot&) { return nullptr; }
  // An error of code `failed` when the file has changed or is gone, `io` when it cannot be read.
  virtual Result<ServedFile> open(const FileRoot& root) = 0;
  // An asker says that it received wrong bytes: the file should be read again. May come often.
  virtual void rejected(const FileRoot&) {}
  // How a file of that size is cut for chunkHashes(), and for what is served of a partial file.
  virtual std::uint64_t chunkBytes(std::uint64_t sizeBytes) const {
    return crypto::chunkBytesFor(sizeBytes);
  }
  virtual Result<std::vector<Digest>> chunkHashes(const FileRoot& root) = 0;

  // Of all that is shared: how many files, and whether more are still being indexed.
  struct Extent {
    std::uint64_t files = 0;
    bool indexing = false;
  };
  virtual Extent extent() { return {}; }
  // Up to `limit` files whose names come after `after`, in the order of their bytes.
  virtual std::vector<wire::FileEntry> list(std::string_view after, std::size_t limit) = 0;
};

}  // namespace espalier::transfer
