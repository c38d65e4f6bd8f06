// What a transfer server needs to know of a share: the seam between serving bytes and deciding what
// is shared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/file_descriptor.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/wire/transfer.h"
#include "peer/share/shared_file.h"

namespace espalier::transfer {

class PartialFile;

// root, size, name: as it goes on the wire.
using FileInfo = wire::FileEntry;

// A shared file, open for reading, and how it was when its root was computed. The server compares
// before and after each chunk, so the source need not.
struct OpenedFile {
  FileDescriptor descriptor;
  share::FileStat expected;
  std::shared_ptr<const PartialFile> partial = nullptr;  // one of which only a part may be here yet
};

// Thread-safe: the server's threads call it at the same time. A root may cease to be shared at any
// moment.
class FileSource {
 public:
  virtual ~FileSource() = default;

  virtual std::optional<FileInfo> find(const FileRoot& root) = 0;
  // The file if it is still being fetched; nothing when all of it is here.
  virtual std::shared_ptr<const PartialFile> partialFile(const FileRoot&) { return nullptr; }
  // An error of code `failed`: it changed, or is gone; of `io`: it cannot be read.
  virtual Result<OpenedFile> open(const FileRoot& root) = 0;
  // Somebody says that it got other bytes: the file is to be read again, now and then at most.
  virtual void rejected(const FileRoot&) {}
  // Of chunks of crypto::chunkBytesFor(size) bytes.
  virtual Result<std::vector<Digest>> chunkHashes(const FileRoot& root) = 0;
  // Of all that is shared: how many files, and whether that may grow by itself.
  struct Extent {
    std::uint64_t files = 0;
    bool indexing = false;
  };
  virtual Extent extent() { return {}; }
  // Up to `limit` files whose names come after `after`, in the order of their bytes.
  virtual std::vector<FileInfo> list(std::string_view after, std::size_t limit) = 0;
};

}  // namespace espalier::transfer
