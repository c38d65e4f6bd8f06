#include "peer/transfer/push_server.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "common/base/file_descriptor.h"
#include "peer/core/push_chunks.h"

namespace espalier::transfer {
namespace {

SlotOptions slotsOf(const PushServerOptions& options) {
  // All askers that have a place may wait at once.
  constexpr auto kPlaces = limits::kHeldBounds[static_cast<std::size_t>(limits::Held::pushUploads)];
  return {.slots = options.slots,
          .queue = kPlaces.process,
          .silence = options.silence,
          .held = limits::Held::pushUploads,
          .budget = options.budget};
}

Error notPushed() {
  return {ErrorCode::failed, "it is not being pushed here"};
}

}  // namespace

// Askers of a push know the name already.
std::optional<wire::FileEntry> PushedFiles::find(const FileRoot& root) {
  const auto file = store_.find(root);
  if (!file) return std::nullopt;
  return wire::FileEntry{root, file->size(), {}};
}

std::shared_ptr<const PartialFile> PushedFiles::partialFile(const FileRoot& root) {
  return store_.find(root);
}

Result<ServedFile> PushedFiles::open(const FileRoot& root) {
  auto file = begun(root);
  if (!file) return notPushed();
  FileDescriptor copy(::fcntl(file->descriptor(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return systemError("cannot open what is pushed", errno);
  return ServedFile{std::move(copy), {}, std::move(file)};
}

// The file, if its plan is known. Another one may have taken its place since the caller waited.
std::shared_ptr<const PartialFile> PushedFiles::begun(const FileRoot& root) const {
  const auto file = store_.find(root);
  const bool isBegun = file && file->awaitPlan(Duration::zero()) == PartialFile::There::yes;
  return isBegun ? file : nullptr;
}

std::uint64_t PushedFiles::chunkBytes(std::uint64_t sizeBytes) const {
  return peer::pushChunkBytesFor(sizeBytes);
}

Result<std::vector<Digest>> PushedFiles::chunkHashes(const FileRoot& root) {
  const auto file = begun(root);
  if (!file) return notPushed();
  return file->plan().hashes;
}

PushServer::PushServer(PartialFiles& store, PushServerOptions options)
    : store_(store),
      files_(store),
      server_(files_, slotsOf(options), options.rate,
              {ServePolicy::WhenMissing::wait, options.waiting}) {}

void PushServer::serve(std::unique_ptr<net::ByteStream> stream, const wire::Hello& hello) {
  server_.serve(std::move(stream), hello);
}

void PushServer::stop() {
  store_.endAll();
  server_.stop();
}

}  // namespace espalier::transfer
