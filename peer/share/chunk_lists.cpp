#include "peer/share/chunk_lists.h"

#include <algorithm>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/crypto/file_tree.h"

namespace espalier::share {

fs::path ChunkLists::pathOf(const FileRoot& root) const {
  // 256 folders, so that none gets too long with a million large files.
  const std::string hex = toHex(root.view());
  return folder_ / hex.substr(0, 2) / hex.substr(2);
}

void ChunkLists::remember(const FileRoot& root, std::vector<Digest> chunks) {
  const std::size_t bytes = chunks.size() * sizeof(Digest);
  if (bytes > limits::kChunkListCacheBytes) return;
  cache_.with([&](Cache& cache) {
    if (std::ranges::find(cache.lists, root, &Cached::root) != cache.lists.end()) return;
    cache.lists.push_front({root, std::move(chunks)});
    cache.bytes += bytes;
    while (cache.bytes > limits::kChunkListCacheBytes) {
      cache.bytes -= cache.lists.back().chunks.size() * sizeof(Digest);
      cache.lists.pop_back();
    }
  });
}

Result<void> ChunkLists::store(const FileRoot& root, std::span<const Digest> chunks) {
  const fs::path file = pathOf(root);
  boost::system::error_code error;
  fs::create_directory(folder_, error);
  fs::create_directory(file.parent_path(), error);
  const auto bytes = std::as_bytes(chunks);
  return replaceFile(file.string(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                     Durability::soft, kPrivate);
}

std::optional<std::vector<Digest>> ChunkLists::find(const FileRoot& root, std::uint64_t sizeBytes) {
  auto cached = cache_.with([&](Cache& cache) -> std::optional<std::vector<Digest>> {
    const auto found = std::ranges::find(cache.lists, root, &Cached::root);
    if (found == cache.lists.end()) return std::nullopt;
    cache.lists.splice(cache.lists.begin(), cache.lists, found);
    return found->chunks;
  });
  if (cached) return cached;
  const std::uint64_t chunkBytes = crypto::chunkBytesFor(sizeBytes);
  const auto count = static_cast<std::size_t>(crypto::chunkCount(sizeBytes, chunkBytes));
  const auto bytes = readFile(pathOf(root).string(), count * sizeof(Digest));
  if (!bytes || bytes->size() != count * sizeof(Digest)) return std::nullopt;
  std::vector<Digest> chunks(count);
  std::copy(bytes->begin(), bytes->end(), reinterpret_cast<char*>(chunks.data()));
  if (!crypto::chunkListMatches(root, sizeBytes, chunkBytes, chunks)) return std::nullopt;
  remember(root, chunks);
  return chunks;
}

void ChunkLists::keepOnly(const std::function<bool(const FileRoot&)>& wanted) {
  boost::system::error_code error;
  for (fs::directory_iterator folder(folder_, error), end; !error && folder != end;
       folder.increment(error)) {
    boost::system::error_code inner;
    for (fs::directory_iterator file(folder->path(), inner); !inner && file != end;
         file.increment(inner)) {
      const auto root =
          parseFileRoot(folder->path().filename().string() + file->path().filename().string());
      boost::system::error_code ignored;
      if (!root || !wanted(*root)) fs::remove(file->path(), ignored);
    }
  }
}

}  // namespace espalier::share
