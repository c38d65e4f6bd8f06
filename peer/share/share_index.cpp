#include "peer/share/share_index.h"

#include <utility>

#include "common/base/text.h"
#include "common/crypto/file_tree.h"
#include "peer/share/hash_file.h"
#include "peer/share/index_file.h"
#include "peer/share/indexer.h"
#include "peer/share/share_list.h"

namespace espalier::share {
namespace {

// Hashes the file again, because its list of chunk hashes was lost or could not be stored.
Result<std::vector<Digest>> computeChunks(const SharedFile& file, const OpenedFile& opened) {
  auto hashes = hashFile(opened.descriptor.get(), file.name, file.sizeBytes,
                         crypto::chunkBytesFor(file.sizeBytes), {});
  if (!hashes && hashes.error().code != ErrorCode::failed) return hashes.error();
  if (hashes && hashes->root == file.root && unchanged(opened.descriptor.get(), file)) {
    return std::move(hashes->chunks);
  }
  return Error{ErrorCode::failed, escaped(file.name) + " has changed since it was hashed"};
}

}  // namespace

ShareIndex::ShareIndex(ShareOptions options)
    : indexer_(std::make_unique<Indexer>(std::move(options))) {}
ShareIndex::~ShareIndex() = default;

const Result<void>& ShareIndex::started() const {
  return indexer_->started();
}

std::shared_ptr<const Snapshot> ShareIndex::snapshot() const {
  return indexer_->snapshot();
}
IndexingProgress ShareIndex::progress() const {
  return indexer_->progress();
}

bool ShareIndex::wait(
    std::chrono::milliseconds timeout,
    const std::function<bool(const Snapshot&, const IndexingProgress&)>& enough) const {
  return indexer_->wait(timeout, enough);
}

bool ShareIndex::awaitPublished(std::chrono::milliseconds timeout, std::stop_token stop) {
  return indexer_->awaitPublished(timeout, stop);
}

Result<std::vector<Digest>> ShareIndex::chunkHashes(const FileRoot& root) {
  const auto now = snapshot();
  const auto file = now->file(root);
  if (!file)
    return Error{ErrorCode::failed, "no file of root " + toHex(root.view()) + " is shared"};
  const auto count = crypto::chunkCount(file->sizeBytes, crypto::chunkBytesFor(file->sizeBytes));
  if (count <= 1) return std::vector<Digest>(count, root);
  if (auto known = indexer_->chunkLists().find(root, file->sizeBytes)) return std::move(*known);
  const auto opened = openForServing(*file);
  if (!opened) return opened.error();
  auto computed = computeChunks(*file, *opened);
  if (computed) {
    (void)indexer_->chunkLists().store(root, *computed).ok();
  } else {
    indexer_->inbox().lookAgain(file->name);
  }
  return computed;
}

Result<OpenedFile> ShareIndex::openForServing(const SharedFile& file) {
  auto opened = share::openForServing(file);
  if (!opened) indexer_->inbox().lookAgain(file.name);
  return opened;
}

void ShareIndex::saveAgain() {
  indexer_->saveAgain();
}

void ShareIndex::learn(const fs::path& path, const FileRoot& root, std::span<const Digest> chunks) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  const FileStat stat = fileStat(status);
  const std::uint64_t chunkBytes = crypto::chunkBytesFor(stat.sizeBytes);
  if (!crypto::chunkListMatches(root, stat.sizeBytes, chunkBytes, chunks)) return;
  if (chunks.size() > 1) (void)indexer_->chunkLists().store(root, chunks).ok();
  indexer_->inbox().learn({stat, root, true});
}

void ShareIndex::recheck(const FileRoot& root) {
  indexer_->inbox().recheck(root);
}
bool ShareIndex::wouldShare(const std::string& name, std::stop_token stop) {
  return indexer_->wouldShare(name, stop);
}

Result<void> ShareIndex::checkState(const fs::path& stateFolder) {
  const auto isNewer = [](const auto& read) {
    return !read && read.error().code == ErrorCode::configuration;
  };
  if (const auto index = loadIndex(indexIn(stateFolder)); isNewer(index)) return index.error();
  if (const auto list = loadShareList(shareListIn(stateFolder)); isNewer(list)) {
    return list.error();
  }
  return {};
}

Result<void> ShareIndex::add(const fs::path& path, const std::string& name, std::stop_token stop) {
  return indexer_->add(path, name, stop);
}
Result<void> ShareIndex::remove(const fs::path& path, const std::string& name,
                                std::stop_token stop) {
  return indexer_->remove(path, name, stop);
}

}  // namespace espalier::share
