#include "peer/transfer/fetch_work.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "common/base/limits.h"
#include "common/base/random.h"
#include "common/base/text.h"
#include "common/crypto/file_tree.h"
#include "peer/transfer/fetch_problem.h"

namespace espalier::transfer {
namespace {

std::uint64_t randomSeed() {
  std::array<std::uint8_t, sizeof(std::uint64_t)> bytes;
  fillFromKernel(bytes);
  return std::bit_cast<std::uint64_t>(bytes);
}

Download scheduleOf(const FetchRequest& request, std::uint64_t chunkBytes) {
  return Download(request.size, chunkBytes, request.holders.size() == 1, randomSeed());
}

}  // namespace

FetchWork::FetchWork(const FetchRequest& request, PartFile& part, net::Interrupter& interrupter,
                     ChunkCounts* chunks)
    : request_(request),
      part_(part),
      interrupter_(interrupter),
      chunks_(chunks),
      download_(scheduleOf(request, crypto::chunkBytesFor(request.size))),
      sources_(request.dials ? request.dials : std::make_shared<DialTargets>()),
      lanes_(request.search ? limits::kFetchSources
                            : std::min(request.holders.size(), limits::kFetchSources),
             [this](ArrivedChunk& arrived) { finish(arrived); }) {
  sources_.add(request.holders);
}

FetchWork::~FetchWork() {
  if (!offered_) return;
  offered_->end();
  request_.partialFiles->remove(offered_);
}

void FetchWork::fail(Error error) {
  {
    const Lock held = lock();
    failLocked(held, std::move(error));
    wake(held);
  }
  interrupter_.interrupt();
}

bool FetchWork::over(const Lock&) const {
  return failed_ || (planState_ == PlanState::known && download_.complete() && writing_ == 0);
}

void FetchWork::wake(const Lock& held) {
  if (idle_ > 0) changed_.notify_all();
  if (over(held) || working_ == 0) ended_.notify_all();
}

void FetchWork::threadEnded(const Lock& held) {
  --working_;
  wake(held);
}

std::optional<std::size_t> FetchWork::nextSource(const Lock& held) {
  return over(held) ? std::nullopt : sources_.next(Clock::now());
}

// --- the plan ---

Result<void> FetchWork::adopt(ChunkPlan plan, std::stop_token stop) {
  {
    Lock held = lock();
    // Another source brought the same plan, or the same file cut differently.
    if (planState_ != PlanState::unknown) {
      ++idle_;
      changed_.wait(held, [this] { return planState_ == PlanState::known || failed_; });
      --idle_;
      return {};
    }
    planState_ = PlanState::adopting;
  }
  const auto earlier = part_.begin(std::move(plan), std::move(stop));
  if (!earlier) {
    fail(earlier.error());
    return earlier.error();
  }
  offerPart(*earlier);
  const Lock held = lock();
  if (part_.plan().chunkBytes != download_.chunkBytes()) {
    download_ = scheduleOf(request_, part_.plan().chunkBytes);
  }
  for (const auto chunk : *earlier) download_.hold(ChunkIndex{chunk});
  resumedBytes_ = download_.heldBytes();
  planState_ = PlanState::known;
  if (idle_ > 0) changed_.notify_all();
  ended_.notify_all();
  return {};
}

// Lets other peers fetch the chunks that are held, from now on. Not for a file of one chunk, nor
// for one that is cut in another way than askers expect.
void FetchWork::offerPart(std::span<const std::uint64_t> held) {
  const ChunkPlan& plan = part_.plan();
  if (request_.partialFiles == nullptr || plan.hashes.size() < 2 ||
      plan.hashes.size() > limits::kHeldBytes * 8 ||
      plan.chunkBytes != crypto::chunkBytesFor(plan.sizeBytes)) {
    return;
  }
  auto offered = std::make_shared<PartialFile>(plan.root, plan.sizeBytes, request_.saveAs);
  if (!part_.reportTo(offered, held)) return;
  offered_ = std::move(offered);
  request_.partialFiles->put(offered_);
}

// --- a conversation ---

FetchWork::Joined FetchWork::join(std::size_t index) {
  const Lock held = lock();
  const SourceId id = sources_.beginConversation(index);
  if (sources_[index].holder.partial) {
    download_.join(id, ChunkSet(download_.map().chunks()));
  } else {
    download_.joinWithAll(id);
  }
  return {planKnown(held), download_.chunkBytes()};
}

void FetchWork::connected(std::size_t index, const net::BlockingStream& stream) {
  const Lock held = lock();
  sources_.connected(index, stream, Clock::now());
}

void FetchWork::busy(std::size_t index) {
  const Lock held = lock();
  sources_.busy(index);
}

void FetchWork::waiting(std::size_t index, std::uint32_t position) {
  const Lock held = lock();
  sources_[index].position = position;
}

void FetchWork::holdsParts(std::size_t index) {
  const Lock held = lock();
  sources_[index].holder.partial = true;
}

std::vector<ChunkRange> FetchWork::next(std::size_t index) {
  const Lock held = lock();
  std::vector<ChunkRange> ranges;
  if (over(held)) return ranges;
  const TimePoint now = Clock::now();
  while (const auto range = download_.next(sources_[index].id, now)) ranges.push_back(*range);
  return ranges;
}

void FetchWork::offer(std::size_t index, const wire::ChunksHeld& held) {
  const Lock locked = lock();
  const std::uint64_t chunks = download_.map().chunks();
  if (held.all) {
    download_.offer(sources_[index].id, ChunkSet::all(chunks));
  } else if (held.chunkBytes == download_.chunkBytes()) {
    download_.offer(sources_[index].id, ChunkSet::fromBits(chunks, held.chunks));
  }
}

void FetchWork::release(std::size_t index, const ChunkRange& range) {
  const Lock held = lock();
  download_.release(sources_[index].id, range);
  wake(held);
}

std::optional<Error> FetchWork::lieOf(std::size_t index) const {
  const Lock held = lock();
  return sources_[index].lie;
}

// Other sources have been asked for all that is left. Chunks may come back, or turn out to be slow.
void FetchWork::awaitMore() {
  Lock held = lock();
  if (over(held)) return;
  ++idle_;
  changed_.wait_for(held, Download::kRetry);
  --idle_;
}

FetchWork::Left FetchWork::leave(std::size_t index, Result<void> ended, bool changed) {
  Lock held = lock();
  FetchSource& source = sources_[index];
  ++idle_;
  changed_.wait(held, [&] { return source.inLanes == 0; });
  --idle_;
  const bool isInterrupted = !ended && ended.error().code == ErrorCode::interrupted;
  sources_.disconnected(index,
                        source.stream == nullptr && !ended && !isInterrupted && !source.isBusy);
  download_.leave(source.id);
  if (source.delivered) source.tries = 0;
  wake(held);
  // A chunk that was read while the file changed is no lie.
  if (changed) {
    source.changed = true;
    source.lie.reset();
  }
  Left left{{}, source.lie.has_value(), false};
  if (over(held)) return left;
  source.lied = source.lie || (!ended && ended.error().code == ErrorCode::protocol);
  if (source.lie) {
    left.why = *source.lie;
  } else {
    left.again =
        !ended && ended.error().code == ErrorCode::io && source.delivered && !source.replaced;
    left.why = source.replaced ? Error{ErrorCode::timeout, "it is slow, and others have it, too"}
                               : std::move(ended);
  }
  return left;
}

// --- chunks ---

void FetchWork::received(std::size_t index, std::uint64_t chunk, std::size_t bytes,
                         ChunkBuffer buffer) {
  ArrivedChunk arrived{index, chunk, bytes, Clock::now(), std::move(buffer)};
  {
    const Lock held = lock();
    ++sources_[index].inLanes;
  }
  if (plan().hashes.size() > 1) {
    lanes_.put(std::move(arrived));
  } else {
    finish(arrived);  // rather than start a thread for it
    lanes_.giveBack(std::move(arrived.buffer));
  }
}

// On a lane.
void FetchWork::finish(ArrivedChunk& arrived) {
  const auto data = arrived.buffer.first(arrived.bytes);
  if (!judge(arrived, plan().isRight(arrived.chunk, data))) return;
  if (auto written = part_.write(arrived.chunk, data); !written) fail(written.error());
  const Lock held = lock();
  --writing_;
  wake(held);
}

// Whether it is to be written.
bool FetchWork::judge(const ArrivedChunk& arrived, bool right) {
  if (chunks_ != nullptr) chunks_->count(right);
  const Lock held = lock();
  FetchSource& source = sources_[arrived.source];
  const Verdict verdict =
      download_.deliver(source.id, ChunkIndex{arrived.chunk}, right, arrived.arrived);
  --source.inLanes;
  switch (verdict) {
    case Verdict::fresh:
      source.delivered = true;
      source.bytes += arrived.bytes;
      ++writing_;
      return true;
    case Verdict::duplicate:
      source.delivered = true;
      break;
    case Verdict::wrong:
    case Verdict::unasked:
      if (!source.lie) {
        source.lie = verdict == Verdict::unasked
                         ? unexpected("a chunk that nobody asked for")
                         : unexpected(fmt::format("a damaged chunk {}", arrived.chunk));
        source.lieAt = Clock::now();
      }
      break;
  }
  wake(held);
  return false;
}

// --- for the user ---

FetchProgress FetchWork::progress() const {
  const Lock held = lock();
  FetchProgress progress;
  progress.size = request_.size;
  progress.resumedBytes = resumedBytes_;
  progress.heldBytes = download_.heldBytes();
  progress.sources =
      sources_.connected([this](SourceId id) { return download_.bytesPerSecond(id); });
  return progress;
}

void FetchWork::report(FetchResult& result) const {
  const Lock held = lock();
  result.resumedBytes = resumedBytes_;
  result.wastedBytes = download_.wastedBytes();
  result.sources = sources_.reports();
}

Error FetchWork::failure(const Lock&) const {
  auto error = sources_.problems();
  if (!error) return {ErrorCode::failed, "nobody holds it"};
  if (download_.heldBytes() > 0) {
    error->message += fmt::format(" ({} of {} are kept for the next try)",
                                  formatSize(download_.heldBytes()), formatSize(request_.size));
  }
  return *error;
}

}  // namespace espalier::transfer
