#include "peer/transfer/upload.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <span>
#include <utility>
#include <variant>

#include "common/base/file.h"
#include "peer/share/shared_file.h"

namespace espalier::transfer {
namespace {

using wire::TransferFailure;
using wire::TransferProblem;

constexpr std::size_t kReceiveBytes = 16 * 1024;  // requests are small, and may be many
// A chunk of at most so many bytes is copied into the queue of answers. A larger one is sent by
// itself, with sendfile(2).
constexpr std::uint64_t kCopiedBytes = 32 * 1024;
// A thread waits so long at a time for what is not here yet; then its slice may be over.
constexpr Duration kWaitOnce = std::chrono::milliseconds(50);

TransferFailure changed() {
  return {TransferProblem::changed, "the file has changed"};
}

TransferFailure badRequest(const char* why) {
  return {TransferProblem::badRequest, why};
}

}  // namespace

Upload::Upload(net::BlockingStream& stream, Server server, Options options)
    : stream_(stream),
      source_(server.source),
      counters_(server.counters),
      lists_(server.lists),
      options_(std::move(options)),
      out_(stream, options_.pace) {}

std::size_t Upload::heldBytes() const {
  return out_.heldBytes() + reader_.capacityBytes();
}

Result<UploadSlots::Next> Upload::serve(const Slice& slice) {
  while (true) {
    if (options_.pace.stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    const bool flushes = mustFlush_ || out_.isMuch();
    auto paused = flushes ? flush(slice) : step(slice);
    if (!paused) return paused.error();
    if (*paused) return **paused;
    if (!slice.isOver()) continue;
    paused = flush(slice);
    if (!paused) return paused.error();
    return paused->value_or(Next::later);
  }
}

// Answers the next request, or a part of it, or reads what comes.
Result<Upload::Paused> Upload::step(const Slice& slice) {
  Result<void> answered;
  if (rest_) {
    answered = answerChunk();
  } else if (list_) {
    answerListPart();
  } else if (again_) {
    const auto request = *std::exchange(again_, std::nullopt);
    answered = std::visit([this](const auto& part) { return answer(part); }, request);
  } else {
    const auto frame = reader_.next();
    if (!frame) return frame.error();
    if (!*frame && !out_.empty()) {
      mustFlush_ = true;
      return Paused();
    }
    if (!*frame) return readMore(slice);
    auto request = wire::decodeTransferRequest(**frame);
    if (!request) return refuseFrame(slice, request.error());
    asked();
    answered = std::visit([this](const auto& part) { return answer(part); }, *request);
  }
  return answered ? Result<Paused>(Paused()) : Result<Paused>(answered.error());
}

// Reads a part of the next request.
Result<Upload::Paused> Upload::readMore(const Slice& slice) {
  std::array<std::byte, kReceiveBytes> buffer;
  const auto received = stream_.readSome(buffer, slice.patience());
  const bool isBetween = reader_.rest().empty();
  if (!received && isBetween && received.error().code == ErrorCode::io) return Paused(Next::left);
  if (!received) return received.error();
  switch (received->state) {
    case net::IoResult::State::done:
      break;
    case net::IoResult::State::wantWrite:
      return Paused(Next::writable);
    case net::IoResult::State::wantRead:
      out_.releaseSent();
      return Paused(Next::readable);
    default:
      if (isBetween) return Paused(Next::left);
      return Error{ErrorCode::io, "the connection was closed within a request"};
  }
  reader_.append({reinterpret_cast<const char*>(buffer.data()), received->bytes});
  const auto rest = reader_.rest();
  if (rest.size() < limits::kFrameHeaderBytes) return Paused();
  const auto length = wire::frameLength(rest.substr(0, limits::kFrameHeaderBytes));
  if (length && *length > limits::kTransferRequestBytes) {
    return refuseFrame(slice, {ErrorCode::protocol, "a request longer than any"});
  }
  return Paused();
}

Error Upload::refuseFrame(const Slice& slice, Error why) {
  queue(TransferFailure{TransferProblem::badRequest, why.message});
  (void)flush(slice);
  return why;
}

TransferFailure Upload::notShared() const {
  return {TransferProblem::notShared,
          waits() ? "it is not being pushed here" : "the file is not shared"};
}

Result<void> Upload::refuseAllButChunks() {
  queue(badRequest("a push is asked for chunks only"));
  return {};
}

bool Upload::isPlanned(const wire::TransferRequest& request, const FileRoot& root) {
  if (!waits()) return true;
  const auto partial = source_.partialFile(root);
  const auto there =
      partial ? awaitThere([&](Duration patience) { return partial->awaitPlan(patience); })
              : PartialFile::There::never;
  if (there == PartialFile::There::notYet) again_ = request;
  if (there == PartialFile::There::never) queue(notShared());
  return there == PartialFile::There::yes;
}

// --- all requests but chunks ---

Result<void> Upload::answer(const wire::UnknownRequest&) {
  if (waits()) return refuseAllButChunks();
  queue(badRequest("a request of no kind known here"));
  return {};
}

Result<void> Upload::answer(const wire::ChunkListRequest& request) {
  if (!isPlanned(request, request.root)) return {};
  const auto info = source_.find(request.root);
  auto hashes = info ? lists_.of(source_, request.root) : Result<SentLists::List>(nullptr);
  if (!info) {
    queue(notShared());
  } else if (!hashes) {
    queue(TransferFailure{TransferProblem::io, hashes.error().message});
  } else {
    list_ = {std::move(*hashes), {info->size, source_.chunkBytes(info->size), 0, {}, info->name}};
    answerListPart();
  }
  return {};
}

void Upload::answerListPart() {
  wire::ChunkList& part = list_->next;
  const auto left = std::span(*list_->hashes).subspan(part.first);
  const auto hashes = left.first(std::min(left.size(), limits::kHashesPerFrame));
  part.hashes.assign(hashes.begin(), hashes.end());
  queue(part);
  part.first += hashes.size();
  part.name.clear();
  if (hashes.size() == left.size()) list_.reset();
}

Result<void> Upload::answer(const wire::ListRequest& request) {
  if (waits()) return refuseAllButChunks();
  // One more than a page holds shows whether there is another page.
  auto files = source_.list(request.after, limits::kListPageFiles + 1);
  wire::FileList page;
  const auto extent = source_.extent();
  page.indexing = extent.indexing;
  page.total = extent.files;
  page.more = files.size() > limits::kListPageFiles;
  if (page.more) files.resize(limits::kListPageFiles);
  std::size_t room = limits::kFrameBytes - 64;
  for (auto& file : files) {
    const std::size_t bytes = wire::encodedBytesAtMost(file);
    page.more = page.more || bytes > room;
    if (bytes > room) break;
    room -= bytes;
    page.files.push_back(std::move(file));
  }
  queue(page);
  return {};
}

Result<void> Upload::answer(const wire::ChunksHeldRequest& request) {
  if (waits()) return refuseAllButChunks();
  const auto info = source_.find(request.root);
  const auto partial = info ? source_.partialFile(request.root) : nullptr;
  if (!info) {
    queue(notShared());
  } else if (!partial) {
    queue(wire::ChunksHeld{true, 0, {}});
  } else {
    queue(wire::ChunksHeld{false, source_.chunkBytes(info->size), partial->heldBits()});
  }
  return {};
}

// Only of the file that was sent last, and not more often than the asker may make this peer work.
Result<void> Upload::answer(const wire::ChunkRejected& request) {
  if (waits()) return refuseAllButChunks();
  if (takenBytes() == 0 || servedLast_ != request.root) return {};
  if (options_.payer.spend(limits::Rate::rechecks, Clock::now())) source_.rejected(request.root);
  return {};
}

// --- chunks ---

Result<void> Upload::answer(const wire::ChunkRequest& request) {
  if (!isPlanned(request, request.root)) return {};
  if (auto failure = openFile(request.root)) {
    queue(*failure);
    return {};
  }
  rest_ = request;
  restUntil_ = kNever;
  return {};
}

// The next of those that were asked for. A failure in place of a chunk ends the answer.
Result<void> Upload::answerChunk() {
  auto request = *std::exchange(rest_, std::nullopt);
  const std::uint64_t chunk = request.first;
  const TimePoint now = Clock::now();
  if (now > restUntil_) {
    queue(wire::ChunksCut{chunk});
    return {};
  }
  if (auto failure = whyNot(chunk, request.chunkBytes)) {
    queue(*failure);
    return {};
  }
  if (waits()) {
    const auto there =
        awaitThere([&](Duration patience) { return file_.partial->awaitChunk(chunk, patience); });
    if (there == PartialFile::There::notYet) rest_ = request;
    if (there == PartialFile::There::never) queue(notShared());
    if (there != PartialFile::There::yes) return {};
  }
  if (restUntil_ == kNever && request.within.count() > 0) restUntil_ = now + request.within;
  if (!unchanged()) {
    queue(changed());
    return {};
  }
  const std::uint64_t offset = chunk * request.chunkBytes;
  const std::uint64_t bytes = std::min(request.chunkBytes, info_->size - offset);
  if (--request.count > 0)
    rest_ = {request.root, request.chunkBytes, chunk + 1, request.count, request.within};
  const wire::ChunkHeader header{chunk, static_cast<std::uint32_t>(bytes)};
  const int file = file_.descriptor.get();
  if (bytes > kCopiedBytes) {
    // A taker of a push would take zeros for a lie. It asks again when the connection breaks.
    out_.addLarge(header, file, offset, !waits());
    return {};
  }
  options_.pace.takeAll(bytes);
  const bool isRead = out_.addSmall(header, [&](std::span<std::byte> into) {
    return readAt(file, into, offset) == static_cast<ssize_t>(into.size()) && unchanged();
  });
  if (isRead) {
    sent(bytes);
  } else {
    fileHasChanged();
  }
  return {};
}

// Why the chunk cannot be served, whatever arrives later.
Upload::Failed Upload::whyNot(std::uint64_t chunk, std::uint64_t chunkBytes) const {
  if (chunk * chunkBytes >= info_->size) return badRequest("a chunk behind the file's end");
  if (!file_.partial) return std::nullopt;
  const bool isCutSo = chunkBytes == source_.chunkBytes(info_->size);
  if (isCutSo && (waits() || file_.partial->holds(chunk))) return std::nullopt;
  return badRequest("a chunk that is not here yet");
}

// The file is forgotten. After a large chunk the asker learns from the hash that it changed while
// it was sent, and from the failure behind the chunk why.
void Upload::fileHasChanged() {
  rest_.reset();
  info_.reset();
  queue(changed());
}

void Upload::sent(std::uint64_t bytes) {
  servedLast_ = info_->root;
  ++counters_.chunks;
  counters_.bytes += bytes;
  shown_.with([&](Shown& shown) {
    if (shown.status) shown.status->bytes += bytes;
  });
}

// --- waiting for what is not here yet ---

// What is queued is sent before anything is waited for.
template <typename Look>
PartialFile::There Upload::awaitThere(const Look& look) {
  const TimePoint now = Clock::now();
  if (waitsSince() == kNever) signAt_ = now + options_.policy.waiting;
  if (out_.empty() && now >= signAt_) {
    queue(wire::Waiting{1});
    signAt_ = now + options_.policy.waiting;
  }
  const auto there = look(out_.empty() ? std::min(signAt_ - now, kWaitOnce) : Duration::zero());
  const bool waits = there == PartialFile::There::notYet;
  setWaitsSince(waits ? std::min(waitsSince(), now) : kNever);
  mustFlush_ = waits && !out_.empty();
  return there;
}

// --- the file ---

Upload::Failed Upload::openFile(const FileRoot& root) {
  const bool isOpen = info_ && info_->root == root;
  auto info = source_.find(root);
  // A file that was fetched a moment ago, and is not in the share's index yet, is still good.
  if (!info) return isOpen && file_.partial ? Failed() : notShared();
  if (isOpen && (file_.partial ? source_.partialFile(root) == file_.partial : unchanged())) {
    return std::nullopt;
  }
  info_.reset();
  auto file = source_.open(root);
  if (!file) {
    const bool isChanged = file.error().code == ErrorCode::failed;
    return TransferFailure{isChanged ? TransferProblem::changed : TransferProblem::io,
                           file.error().message};
  }
  ::posix_fadvise(file->descriptor.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  file_ = std::move(*file);
  info_ = std::move(info);
  shown_.with([&](Shown& shown) {
    shown.status = UploadStatus{info_->name, stream_.remote().endpoint().host, info_->size, 0, 0};
    shown.since = Clock::now();
  });
  if (unchanged()) return std::nullopt;
  info_.reset();
  return changed();
}

bool Upload::unchanged() const {
  if (file_.partial) return file_.partial->unchanged();
  struct stat status {};
  return ::fstat(file_.descriptor.get(), &status) == 0 &&
         share::fileStat(status) == file_.expected && file_.expected.sizeBytes == info_->size;
}

// --- sending ---

std::optional<UploadStatus> Upload::status() const {
  return shown_.with([](const Shown& shown) {
    auto status = shown.status;
    const std::chrono::duration<double> elapsed = Clock::now() - shown.since;
    if (status && elapsed.count() > 0) {
      status->bytesPerSecond = static_cast<double>(status->bytes) / elapsed.count();
    }
    return status;
  });
}

Result<Upload::Paused> Upload::flush(const Slice& slice) {
  const auto flushed = out_.flush(slice);
  if (!flushed) return flushed.error();
  if (flushed->bytes > 0) took(flushed->bytes);
  if (flushed->paused) return flushed->paused;
  mustFlush_ = false;
  if (flushed->bodyBytes == 0) return Paused();
  if (flushed->isWhole && unchanged()) {
    sent(flushed->bodyBytes);
  } else {
    fileHasChanged();
  }
  return Paused();
}

}  // namespace espalier::transfer
