#include "peer/share/hash_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::share {

Result<crypto::FileHasher::Hashes> hashFile(int file, std::string_view name,
                                            std::uint64_t sizeBytes, std::uint64_t chunkBytes,
                                            std::stop_token stop, const HashedBytes& hashed) {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(sizeBytes, limits::kHashReadBytes));
  crypto::FileHasher hasher(sizeBytes, chunkBytes);
  for (std::uint64_t done = 0; done < sizeBytes;) {
    if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    const auto part =
        std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), sizeBytes - done));
    const ssize_t got = readAt(file, part, done);
    if (got < 0) return systemError(fmt::format("cannot read {}", escaped(name)), errno);
    if (static_cast<std::size_t>(got) < part.size()) {
      return Error{ErrorCode::failed, fmt::format("{} has become shorter", escaped(name))};
    }
    hasher.update(part);
    done += part.size();
    if (hashed) hashed(done);
  }
  return hasher.finish();
}

}  // namespace espalier::share
