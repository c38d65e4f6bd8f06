#include "peer/transfer/upload.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <utility>
#include <variant>

#include "common/base/limits.h"
#include "common/crypto/file_tree.h"
#include "peer/transfer/paced_stream.h"
#include "peer/transfer/partial_files.h"

namespace espalier::transfer {
namespace {

using wire::TransferFailure;
using wire::TransferProblem;

constexpr std::size_t kReceiveBytes = 16 * 1024;  // requests are small, and may be many
// Up to here a chunk is copied among the answers before and behind it, rather than sent by itself.
constexpr std::uint64_t kCopiedBytes = 32 * 1024;
constexpr std::size_t kQueuedBytes = 256 * 1024;  // tuning: then they are sent

TransferFailure notShared() {
  return {TransferProblem::notShared, "the file is not shared"};
}
TransferFailure changed() {
  return {TransferProblem::changed, "the file has changed"};
}

}  // namespace

Upload::Upload(net::BlockingStream& stream, FileSource& source, UploadCounters& counters, Pace pace,
               Duration silence)
    : stream_(stream),
      source_(source),
      counters_(counters),
      pace_(std::move(pace)),
      silence_(silence) {}

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

// Reads some of it. False: the turn is over; who wants nothing now does not keep others waiting.
Result<bool> Upload::awaitRequest(const UploadSlots::TurnIsOver& turnIsOver) {
  while (!stream_.awaitReadable(limits::kUploadIdle)) {
    if (pace_.stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    if (Clock::now() - active_ >= silence_) {
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

Result<void> Upload::answer(const wire::UnknownRequest&) {
  return queue(TransferFailure{TransferProblem::badRequest, "a request of no kind known here"});
}

Result<void> Upload::answer(const wire::ChunkListRequest& request) {
  const auto info = source_.find(request.root);
  if (!info) return queue(notShared());
  auto hashes = source_.chunkHashes(request.root);
  if (!hashes) return queue(TransferFailure{TransferProblem::io, hashes.error().message});
  wire::ChunkList list;
  list.size = info->size;
  list.chunkBytes = crypto::chunkBytesFor(info->size);
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
  // One more than a page holds shows whether there is another.
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
  const auto info = source_.find(request.root);
  if (!info) return queue(notShared());
  const auto partial = source_.partialFile(request.root);
  if (!partial) return queue(wire::ChunksHeld{true, 0, {}});
  return queue(wire::ChunksHeld{false, crypto::chunkBytesFor(info->size), partial->heldBits()});
}

Result<void> Upload::answer(const wire::ChunkRejected& request) {
  source_.rejected(request.root);
  return {};
}

Result<void> Upload::answer(const wire::ChunkRequest& request) {
  if (auto failure = openFile(request.root)) return queue(*failure);
  rest_ = request;
  restUntil_ = kNever;
  return {};
}

// The next of those that were asked for. A failure in the place of one ends the answer.
Result<void> Upload::answerChunk() {
  auto request = *std::exchange(rest_, std::nullopt);
  const std::uint64_t chunk = request.first;
  const TimePoint now = Clock::now();
  if (now > restUntil_) return queue(wire::ChunksCut{chunk});
  if (restUntil_ == kNever && request.within.count() > 0) restUntil_ = now + request.within;
  const std::uint64_t offset = chunk * request.chunkBytes;
  if (offset >= info_->size) {
    return queue(TransferFailure{TransferProblem::badRequest, "a chunk behind the file's end"});
  }
  if (!unchanged()) return queue(changed());
  if (!holds(chunk, request.chunkBytes)) {
    return queue(TransferFailure{TransferProblem::badRequest, "a chunk that is not here yet"});
  }
  const std::uint64_t bytes = std::min(request.chunkBytes, info_->size - offset);
  if (bytes <= kCopiedBytes) {
    if (auto answered = answerSmall(chunk, offset, bytes); !answered) return answered;
    if (!info_) return {};
  } else {
    (void)queue(wire::ChunkHeader{chunk, static_cast<std::uint32_t>(bytes)});
    if (auto flushed = flush(true); !flushed) return flushed;
    const auto whole = sendBytes(offset, bytes);
    if (!whole) return whole.error();
    // What was just sent may be half old, half new: the asker sees that by its hash, and why here.
    if (!*whole || !unchanged()) return queue(changed());
    sent(bytes);
  }
  ++request.first;
  if (--request.count > 0) rest_ = request;
  return {};
}

// A file that changed is forgotten.
Result<void> Upload::answerSmall(std::uint64_t chunk, std::uint64_t offset, std::uint64_t bytes) {
  pace_.takeAll(bytes);
  const std::size_t before = out_.size();
  wire::appendFrame(wire::encode(wire::TransferAnswer(
                        wire::ChunkHeader{chunk, static_cast<std::uint32_t>(bytes)})),
                    out_);
  const std::size_t start = out_.size();
  out_.resize(start + bytes);
  std::size_t done = 0;
  while (done < bytes) {
    const auto got = ::pread(file_.descriptor.get(), out_.data() + start + done, bytes - done,
                             static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  if (done < bytes || !unchanged()) {
    out_.resize(before);
    info_.reset();
    return queue(changed());
  }
  sent(bytes);
  return out_.size() < kQueuedBytes ? Result<void>() : flush();
}

void Upload::sent(std::uint64_t bytes) {
  active_ = Clock::now();
  ++counters_.chunks;
  counters_.bytes += bytes;
  shown_.with([&](Shown& shown) {
    if (shown.status) shown.status->bytes += bytes;
  });
}

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

Upload::Failed Upload::openFile(const FileRoot& root) {
  const bool isOpen = info_ && info_->root == root;
  auto info = source_.find(root);
  // What was fetched a moment ago, and is not in the share's index yet, is as good as it was.
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

// What a file that is being fetched has will not change.
bool Upload::unchanged() const {
  if (file_.partial) return true;
  struct stat status {};
  return ::fstat(file_.descriptor.get(), &status) == 0 &&
         share::fileStat(status) == file_.expected && file_.expected.sizeBytes == info_->size;
}

bool Upload::holds(std::uint64_t chunk, std::uint64_t chunkBytes) const {
  return !file_.partial ||
         (chunkBytes == crypto::chunkBytesFor(info_->size) && file_.partial->holds(chunk));
}

Result<bool> Upload::sendBytes(std::uint64_t offset, std::uint64_t bytes) {
  const auto left = sendFile(stream_, file_.descriptor.get(), offset, bytes, pace_);
  if (!left) return left.error();
  if (*left == 0) return true;
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
