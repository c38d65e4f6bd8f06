#include "peer/transfer/upload.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <utility>
#include <variant>

#include "common/base/file.h"
#include "peer/share/shared_file.h"
#include "peer/transfer/paced_stream.h"

namespace espalier::transfer {
namespace {

using wire::TransferFailure;
using wire::TransferProblem;

constexpr std::size_t kReceiveBytes = 16 * 1024;  // requests are small, and may be many
// A chunk of at most so many bytes is copied into the queue of answers. A larger one is sent by
// itself, with sendfile(2).
constexpr std::uint64_t kCopiedBytes = 32 * 1024;
constexpr std::size_t kQueuedBytes = 256 * 1024;  // tuning: then they are sent

TransferFailure changed() {
  return {TransferProblem::changed, "the file has changed"};
}

TransferFailure badRequest(const char* why) {
  return {TransferProblem::badRequest, why};
}

}  // namespace

Upload::Upload(net::BlockingStream& stream, FileSource& source, UploadCounters& counters,
               Options options)
    : stream_(stream), source_(source), counters_(counters), options_(std::move(options)) {}

Result<bool> Upload::serve(const UploadSlots::TurnIsOver& turnIsOver) {
  while (true) {
    if (turnIsOver(false)) {
      if (auto flushed = flush(); !flushed) return flushed.error();
      return true;
    }
    if (rest_) {
      if (auto answered = answerChunk(); !answered) return answered.error();
      continue;
    }
    auto frame = reader_.next();
    if (!frame) return frame.error();
    if (!*frame) {
      if (auto flushed = flush(); !flushed) return flushed.error();
      auto goesOn = awaitRequest(turnIsOver);
      if (goesOn && *goesOn) continue;
      if (goesOn) return true;
      const bool left = reader_.rest().empty() && goesOn.error().code == ErrorCode::io;
      return left ? Result<bool>(false) : goesOn;
    }
    auto request = wire::decodeTransferRequest(**frame);
    if (!request) {
      (void)queue(TransferFailure{TransferProblem::badRequest, request.error().message});
      (void)flush();
      return request.error();
    }
    auto answered = std::visit([this](const auto& part) { return answer(part); }, *request);
    if (!answered) return answered.error();
  }
}

// Reads a part of the next request. False when the turn is over: an asker that asks for nothing now
// does not keep others waiting.
Result<bool> Upload::awaitRequest(const UploadSlots::TurnIsOver& turnIsOver) {
  while (!stream_.awaitReadable(limits::kUploadIdle)) {
    if (options_.pace.stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    if (Clock::now() - active_ >= options_.silence) {
      return Error{ErrorCode::timeout, "nothing came for too long"};
    }
    if (turnIsOver(true)) return false;
  }
  std::array<std::byte, kReceiveBytes> buffer;
  const auto received = stream_.read(buffer);
  if (!received) return received.error();
  active_ = Clock::now();
  reader_.append({reinterpret_cast<const char*>(buffer.data()), *received});
  return true;
}

TransferFailure Upload::notShared() const {
  return {TransferProblem::notShared,
          waits() ? "it is not being pushed here" : "the file is not shared"};
}

Result<void> Upload::refuseAllButChunks() {
  return queue(badRequest("a push is asked for chunks only"));
}

// --- all requests but chunks ---

Result<void> Upload::answer(const wire::UnknownRequest&) {
  if (waits()) return refuseAllButChunks();
  return queue(badRequest("a request of no kind known here"));
}

Result<void> Upload::answer(const wire::ChunkListRequest& request) {
  if (waits()) {
    const auto there = awaitPlan(request.root);
    if (!there) return there.error();
    if (!*there) return queue(notShared());
  }
  const auto info = source_.find(request.root);
  if (!info) return queue(notShared());
  auto hashes = source_.chunkHashes(request.root);
  if (!hashes) return queue(TransferFailure{TransferProblem::io, hashes.error().message});
  wire::ChunkList list;
  list.size = info->size;
  list.chunkBytes = source_.chunkBytes(info->size);
  list.name = info->name;
  std::span<const Digest> left(*hashes);
  do {
    const auto part = left.first(std::min(left.size(), limits::kHashesPerFrame));
    list.hashes.assign(part.begin(), part.end());
    left = left.subspan(part.size());
    if (auto sent = queue(list); !sent) return sent;
    list.first += part.size();
    list.name.clear();
  } while (!left.empty());
  return {};
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
  return queue(page);
}

Result<void> Upload::answer(const wire::ChunksHeldRequest& request) {
  if (waits()) return refuseAllButChunks();
  const auto info = source_.find(request.root);
  if (!info) return queue(notShared());
  const auto partial = source_.partialFile(request.root);
  if (!partial) return queue(wire::ChunksHeld{true, 0, {}});
  return queue(wire::ChunksHeld{false, source_.chunkBytes(info->size), partial->heldBits()});
}

Result<void> Upload::answer(const wire::ChunkRejected& request) {
  if (waits()) return refuseAllButChunks();
  source_.rejected(request.root);
  return {};
}

// --- chunks ---

Result<void> Upload::answer(const wire::ChunkRequest& request) {
  if (waits()) {
    const auto there = awaitPlan(request.root);
    if (!there) return there.error();
    if (!*there) return queue(notShared());
  }
  if (auto failure = openFile(request.root)) return queue(*failure);
  rest_ = request;
  restUntil_ = kNever;
  return {};
}

// The next of those that were asked for. A failure in place of a chunk ends the answer.
Result<void> Upload::answerChunk() {
  auto request = *std::exchange(rest_, std::nullopt);
  const std::uint64_t chunk = request.first;
  const TimePoint now = Clock::now();
  if (now > restUntil_) return queue(wire::ChunksCut{chunk});
  if (restUntil_ == kNever && request.within.count() > 0) restUntil_ = now + request.within;
  if (auto failure = whyNot(chunk, request.chunkBytes)) return queue(*failure);
  if (waits()) {
    const auto there = awaitChunk(chunk);
    if (!there) return there.error();
    if (!*there) return queue(notShared());
  }
  if (!unchanged()) return queue(changed());
  const std::uint64_t offset = chunk * request.chunkBytes;
  const std::uint64_t bytes = std::min(request.chunkBytes, info_->size - offset);
  auto answered =
      bytes <= kCopiedBytes ? sendSmall(chunk, offset, bytes) : sendLarge(chunk, offset, bytes);
  if (!answered) return answered;
  if (!info_) return {};  // the file has changed
  ++request.first;
  if (--request.count > 0) rest_ = request;
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

// Copies a chunk into the queue. A file that changed is forgotten.
Result<void> Upload::sendSmall(std::uint64_t chunk, std::uint64_t offset, std::uint64_t bytes) {
  options_.pace.takeAll(bytes);
  const std::size_t before = out_.size();
  wire::appendFrame(wire::encode(wire::TransferAnswer(
                        wire::ChunkHeader{chunk, static_cast<std::uint32_t>(bytes)})),
                    out_);
  const std::size_t start = out_.size();
  out_.resize(start + bytes);
  const auto got = readAt(file_.descriptor.get(),
                          std::as_writable_bytes(std::span(out_).subspan(start)), offset);
  if (got < static_cast<ssize_t>(bytes) || !unchanged()) {
    out_.resize(before);
    info_.reset();
    return queue(changed());
  }
  sent(bytes);
  return out_.size() < kQueuedBytes ? Result<void>() : flush();
}

// The asker learns from the hash that a file changed while it was sent, and from the failure behind
// the chunk why.
Result<void> Upload::sendLarge(std::uint64_t chunk, std::uint64_t offset, std::uint64_t bytes) {
  (void)queue(wire::ChunkHeader{chunk, static_cast<std::uint32_t>(bytes)});
  if (auto flushed = flush(true); !flushed) return flushed;
  const auto whole = sendBytes(offset, bytes);
  if (!whole) return whole.error();
  if (!*whole || !unchanged()) {
    info_.reset();
    return queue(changed());
  }
  sent(bytes);
  return {};
}

Result<bool> Upload::sendBytes(std::uint64_t offset, std::uint64_t bytes) {
  const auto left = sendFile(stream_, file_.descriptor.get(), offset, bytes, options_.pace);
  if (!left) return left.error();
  if (*left == 0) return true;
  // A taker of a push would take zeros for a lie. It asks again when the connection breaks.
  if (waits()) return Error{ErrorCode::io, "a pushed file has become shorter"};
  bytes = *left;
  static const std::string zeros(limits::kBlockBytes, '\0');
  while (bytes > 0) {
    const auto part = std::min<std::uint64_t>(bytes, zeros.size());
    const auto sent = stream_.write(std::string_view(zeros).substr(0, part));
    if (!sent) return sent.error();
    bytes -= part;
  }
  return false;
}

void Upload::sent(std::uint64_t bytes) {
  active_ = Clock::now();
  ++counters_.chunks;
  counters_.bytes += bytes;
  shown_.with([&](Shown& shown) {
    if (shown.status) shown.status->bytes += bytes;
  });
}

// --- waiting for what is not here yet ---

Result<bool> Upload::awaitPlan(const FileRoot& root) {
  const auto partial = source_.partialFile(root);
  if (!partial) return false;
  return awaitThere([&](Duration patience) { return partial->awaitPlan(patience); });
}

Result<bool> Upload::awaitChunk(std::uint64_t chunk) {
  return awaitThere([&](Duration patience) { return file_.partial->awaitChunk(chunk, patience); });
}

// `look` waits for so long at most. What is queued is sent before anything is waited for.
template <typename Look>
Result<bool> Upload::awaitThere(const Look& look) {
  auto there = look(Duration::zero());
  while (there == PartialFile::There::notYet) {
    if (auto flushed = flush(); !flushed) return flushed.error();
    there = look(options_.policy.waiting);
    active_ = Clock::now();
    if (there != PartialFile::There::notYet) break;
    if (auto queued = queue(wire::Waiting{1}); !queued) return queued.error();
  }
  return there == PartialFile::There::yes;
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

Result<void> Upload::queue(const wire::TransferAnswer& answer) {
  wire::appendFrame(wire::encode(answer), out_);
  return out_.size() < kQueuedBytes ? Result<void>() : flush();
}

Result<void> Upload::flush(bool moreFollows) {
  auto sent = stream_.write(out_, moreFollows);
  out_.clear();
  return sent;
}

}  // namespace espalier::transfer
