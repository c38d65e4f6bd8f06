#include "peer/transfer/core/download.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "common/base/limits.h"

namespace espalier::transfer {
namespace {

// The weight of the newest sample in a source's rate: kRateWeight, or its share of kRateSeconds if
// that is more. A sample, except the first, lasts at least kSample: a shorter one would measure how
// fast a buffer is read.
constexpr double kRateWeight = 0.25;
constexpr double kRateSeconds = 3;
constexpr Duration kSample = std::chrono::milliseconds(10);
static_assert(limits::kAskedPerSource <= limits::kChunksPerRequest);
// How long a source for which the end game had nothing is not considered again.
constexpr Duration kRefused = std::chrono::milliseconds(10);

}  // namespace

Download::Download(std::uint64_t fileBytes, std::uint64_t chunkBytes, bool trial,
                   std::uint64_t seed)
    : fileBytes_(fileBytes),
      chunkBytes_(chunkBytes),
      trial_(trial),
      map_(fileBytes / chunkBytes + (fileBytes % chunkBytes != 0)),
      random_(seed) {}

void Download::join(SourceId source, ChunkSet offered) {
  assert(!sources_.contains(source));
  if (!offered.full()) {
    ++partial_;
    copies_.resize(map_.chunks());
    count(offered, 1);
  }
  sources_.emplace(source, Source(std::move(offered)));
}

void Download::joinWithAll(SourceId source) {
  join(source, ChunkSet::all(map_.chunks()));
}

void Download::offer(SourceId source, ChunkSet offered) {
  const auto found = sources_.find(source);
  if (found == sources_.end() || found->second.offered.full()) return;
  count(found->second.offered, -1);
  if (offered.full()) {
    --partial_;
  } else {
    count(offered, 1);
  }
  found->second.offered = std::move(offered);
}

void Download::leave(SourceId source) {
  map_.release(source);
  forget(source);
}

void Download::bar(SourceId source) {
  map_.bar(source);
  forget(source);
}

void Download::forget(SourceId source) {
  const auto found = sources_.find(source);
  if (found == sources_.end()) return;
  if (!found->second.offered.full()) {
    --partial_;
    count(found->second.offered, -1);
  }
  sources_.erase(found);
}

// Adds so many copies to each chunk that one source holds.
void Download::count(const ChunkSet& offered, int copies) {
  for (std::uint64_t index = 0; index < copies_.size(); ++index) {
    if (!offered.contains(ChunkIndex{index})) continue;
    copies_[index] = static_cast<std::uint16_t>(copies_[index] + copies);
  }
}

std::optional<ChunkRange> Download::next(SourceId source, TimePoint now) {
  const auto found = sources_.find(source);
  if (found == sources_.end()) return std::nullopt;
  Source& state = found->second;
  const std::size_t most = room(source, state, now);
  if (most == 0) return std::nullopt;

  const bool busy = expects(source);
  auto range = assign(source, state, most);
  if (busy) return range;
  // A source of parts may hold none of the missing chunks, which does not mean that all are asked.
  if (!range && map_.missing() == 0 && now >= state.refused + kRefused) {
    range = endGame(source, state, most, now);
    if (!range) state.refused = now;
  }
  if (!range) {
    state.resting = true;
    return range;
  }
  if (std::exchange(state.resting, false)) {
    state.mark = now;
    state.early = 0;
  }
  state.asked = now;
  range->trial = state.bytesPerSecond == 0 && range->count > kFirstChunks;
  if (range->trial) state.trialChunks = range->count;
  return range;
}

std::optional<ChunkRange> Download::assign(SourceId source, const Source& state, std::size_t most) {
  const auto first = partial_ > 0 ? map_.assignRarest(source, state.offered, copies_,
                                                      ChunkIndex{random_() % map_.chunks()})
                                  : map_.assign(source, state.offered);
  if (!first) return std::nullopt;
  // A run ends where the next chunk is not a neighbour; that one is left for the next call.
  ChunkRange range{*first, 1};
  while (range.count < most) {
    const ChunkIndex neighbour{number(range.first) + range.count};
    const bool common = partial_ > 0 && neighbour < ChunkIndex{copies_.size()} &&
                        copies_[number(neighbour)] > copies_[number(range.first)];
    if (common || !map_.assignThis(source, neighbour, state.offered)) break;
    ++range.count;
  }
  return range;
}

// How many more chunks to ask the source for.
std::size_t Download::room(SourceId source, const Source& state, TimePoint now) const {
  const std::size_t asked = map_.askedOf(source).size();
  if (state.bytesPerSecond == 0) {
    if (asked > 0) return asked < kFirstChunks ? kFirstChunks - asked : 0;
    const bool isTried = trial_ && sources_.size() == 1 && state.offered.full();
    return isTried ? std::clamp<std::size_t>(kTrialBytes / chunkBytes_, kFirstChunks,
                                             limits::kAskedPerSource)
                   : kFirstChunks;
  }
  const double chunksPerSecond = state.bytesPerSecond / static_cast<double>(chunkBytes_);
  const auto chunksIn = [&](double time) {
    // At least two, so that it has one to send while it is asked for another.
    return static_cast<std::size_t>(
        std::clamp(chunksPerSecond * time + 1, 2.0, static_cast<double>(limits::kAskedPerSource)));
  };
  // The chunks that it will not begin within its trial will be released.
  std::size_t coming = asked;
  if (state.trialChunks > 0) {
    const double time = std::max(inSeconds(state.trialEnds - now), 0.0);
    coming -= state.trialChunks - std::min(state.trialChunks, chunksIn(time));
  }
  const std::size_t window = chunksIn(inSeconds(kAhead));
  // Refilled by quarters of the window: a request for each chunk would cost both ends a wake-up.
  if (coming > window - (window + 3) / 4) return 0;
  double all = 0;
  for (const auto& [id, other] : sources_) all += other.bytesPerSecond;
  const auto left = static_cast<double>(map_.chunks() - map_.held());
  const auto share =
      static_cast<std::size_t>(std::max(2.0, std::ceil(left * state.bytesPerSecond / all)));
  const std::size_t wanted = std::min(window, share);
  return wanted > coming ? std::min(wanted - coming, limits::kAskedPerSource - asked) : 0;
}

void Download::release(SourceId source, const ChunkRange& chunks) {
  if (const auto found = sources_.find(source); found != sources_.end()) {
    found->second.trialChunks = 0;
  }
  for (std::uint32_t i = 0; i < chunks.count; ++i) {
    map_.release(source, ChunkIndex{number(chunks.first) + i});
  }
}

Verdict Download::deliver(SourceId source, ChunkIndex chunk, bool hashRight, TimePoint arrived) {
  const Verdict verdict = map_.deliver(source, chunk, hashRight);
  const auto found = sources_.find(source);
  if (verdict == Verdict::wrong || verdict == Verdict::unasked) {
    bar(source);
    return verdict;
  }
  if (verdict == Verdict::duplicate) wastedBytes_ += bytesOf(chunk);
  if (found != sources_.end()) {
    measure(found->second, bytesOf(chunk), arrived);
  }
  return verdict;
}

void Download::measure(Source& source, std::uint64_t bytes, TimePoint arrived) {
  const bool isFirst = source.bytesPerSecond == 0;
  if (source.asked) {
    const double took = std::max(inSeconds(arrived - *source.asked), 0.0);
    source.secondsToAnswer = isFirst ? took : std::min(source.secondsToAnswer, took);
    source.asked.reset();
    if (isFirst) source.trialEnds = arrived + kAhead;
  }
  if (source.trialChunks > 0) --source.trialChunks;  // it is sent first
  source.early += bytes;
  const Duration elapsed = arrived - source.mark;
  if (elapsed < kSample && !isFirst) return;
  const double rate = static_cast<double>(source.early) / std::max(inSeconds(elapsed), 1e-6);
  const double weight = isFirst ? 1 : std::max(kRateWeight, inSeconds(elapsed) / kRateSeconds);
  source.bytesPerSecond += std::min(weight, 1.0) * (rate - source.bytesPerSecond);
  source.mark = arrived;
  source.early = 0;
}

std::uint64_t Download::bytesOf(ChunkIndex chunk) const {
  const std::uint64_t begin = number(chunk) * chunkBytes_;
  assert(begin < fileBytes_);
  return std::min(chunkBytes_, fileBytes_ - begin);
}

std::uint64_t Download::heldBytes() const {
  if (map_.held() == 0) return 0;
  const ChunkIndex last{map_.chunks() - 1};
  const std::uint64_t bytes = map_.held() * chunkBytes_;
  return map_.isHeld(last) ? bytes - chunkBytes_ + bytesOf(last) : bytes;
}

double Download::bytesPerSecond(SourceId source) const {
  const auto found = sources_.find(source);
  return found == sources_.end() ? 0 : found->second.bytesPerSecond;
}

}  // namespace espalier::transfer
