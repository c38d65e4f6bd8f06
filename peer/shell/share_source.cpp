#include "peer/shell/share_source.h"

#include <fcntl.h>
#include <fmt/format.h>

namespace espalier::peer::shell {

std::optional<wire::FileEntry> ShareSource::find(const FileRoot& root) {
  if (const auto file = index_.snapshot()->file(root)) {
    return wire::FileEntry{file->root, file->sizeBytes, file->name};
  }
  if (const auto file = partialFiles_.find(root)) {
    return wire::FileEntry{file->root(), file->size(), file->name()};
  }
  return std::nullopt;
}

std::shared_ptr<const transfer::PartialFile> ShareSource::partialFile(const FileRoot& root) {
  if (index_.snapshot()->file(root)) return nullptr;
  return partialFiles_.find(root);
}

Result<transfer::ServedFile> ShareSource::open(const FileRoot& root) {
  const auto snapshot = index_.snapshot();
  Error why{ErrorCode::failed, "this file is not shared"};
  // The same content may be shared under several names: any of them will do.
  for (const auto* entry : snapshot->findRoot(root)) {
    auto opened = index_.openForServing(snapshot->file(*entry));
    if (!opened) {
      why = opened.error();
      continue;
    }
    struct stat status {};
    if (::fstat(opened->descriptor.get(), &status) != 0) {
      why = systemError("cannot read a shared file", errno);
      continue;
    }
    return transfer::ServedFile{std::move(opened->descriptor), share::fileStat(status)};
  }
  if (auto file = partialFiles_.find(root)) {
    FileDescriptor copy(::fcntl(file->descriptor(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return systemError("cannot read what is being fetched", errno);
    return transfer::ServedFile{std::move(copy), {}, std::move(file)};
  }
  return why;
}

Result<std::vector<Digest>> ShareSource::chunkHashes(const FileRoot& root) {
  if (const auto file = partialFile(root)) return file->plan().hashes;
  return index_.chunkHashes(root);
}

transfer::FileSource::Extent ShareSource::extent() {
  const bool indexing = !index_.progress().ready;  // first: what it adds is counted then
  return {index_.snapshot()->size(), indexing};
}

std::vector<wire::FileEntry> ShareSource::list(std::string_view after, std::size_t limit) {
  const auto snapshot = index_.snapshot();
  const auto& entries = snapshot->entries();
  std::size_t next = after.empty() ? 0 : snapshot->lowerBound(after);
  if (next < entries.size() && entries[next]->name == after) ++next;
  std::vector<wire::FileEntry> files;
  for (; next < entries.size() && files.size() < limit; ++next) {
    const auto& entry = *entries[next];
    files.push_back({entry.root, entry.stat.sizeBytes, entry.name});
  }
  return files;
}

}  // namespace espalier::peer::shell
