#include "peer/core/download.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

#include "common/base/limits.h"

namespace espalier::transfer {
namespace {

// A source's newest chunk counts this much in its rate.
constexpr double kRateWeight = 0.25;
// In the end game no more than so many sources that sent something lately are asked for a chunk;
// those that have fallen silent do not keep it from others.
constexpr std::size_t kLivelyAskers = 2;
constexpr Duration kLively = std::chrono::seconds(2);
static_assert(kLivelyAskers < limits::kAskersPerChunk);
// In the end game a chunk is asked for again only where that wins clearly.
constexpr double kClearly = 1.5;

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

Download::Download(std::uint64_t fileBytes, std::uint64_t chunkBytes, std::size_t firstChunks,
                   std::uint64_t seed)
    : fileBytes_(fileBytes),
      chunkBytes_(chunkBytes),
      firstChunks_(firstChunks),
      map_(fileBytes / chunkBytes + (fileBytes % chunkBytes != 0)),
      random_(seed) {}

void Download::join(SourceId source, ChunkSet offered, TimePoint now) {
  assert(!sources_.contains(source));
  if (!offered.full()) {
    ++partial_;
    copies_.resize(map_.chunks());
    count(offered, 1);
  }
  sources_.emplace(source, Source{std::move(offered), now});
}

void Download::joinWithAll(SourceId source, TimePoint now) {
  join(source, ChunkSet::all(map_.chunks()), now);
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

// Of the chunks that one source holds there are so many more.
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
  const std::size_t room = this->room(source, state);
  if (room == 0) return std::nullopt;
  if (!expects(source)) state.mark = now;

  std::optional<ChunkRange> range;
  while (!range || range->count < room) {
    // A run ends where the next chunk is not its neighbour; that one is for the next call.
    if (range) {
      const ChunkIndex neighbour{number(range->first) + range->count};
      const bool common = partial_ > 0 && neighbour < ChunkIndex{copies_.size()} &&
                          copies_[number(neighbour)] > copies_[number(range->first)];
      if (common || !map_.assignThis(source, neighbour, state.offered, now)) break;
      ++range->count;
      continue;
    }
    const auto chunk = partial_ > 0 ? map_.assignRarest(source, state.offered, copies_,
                                                        ChunkIndex{random_() % map_.chunks()}, now)
                                    : map_.assign(source, state.offered, now);
    if (!chunk) break;
    range = ChunkRange{*chunk, 1};
  }
  if (range) return range;
  // A source of parts may have nothing of what is missing: that is not the end.
  const bool isEnd = map_.missing() == 0;
  return expects(source) || !isEnd ? std::nullopt : endGame(source, state, now);
}

// How many more chunks the source is to be asked for.
std::size_t Download::room(SourceId source, const Source& state) const {
  const std::size_t asked = map_.askedOf(source).size();
  std::size_t window = firstChunks_;
  if (state.bytesPerSecond > 0) {
    double all = 0;
    for (const auto& [id, other] : sources_) all += other.bytesPerSecond;
    const double left = static_cast<double>(map_.missing() + asked);
    const double ahead =
        state.bytesPerSecond * seconds(kAhead) / static_cast<double>(chunkBytes_) + 1;
    const double share = std::ceil(left * state.bytesPerSecond / all);
    const double most = static_cast<double>(limits::kAskedPerSource);
    // Two, so that it always has one to send while we ask for another.
    window = static_cast<std::size_t>(std::clamp(std::min(ahead, share), 2.0, most));
  }
  // Asked for by halves of the window: a request for each chunk would cost both ends a wake-up.
  return window > asked && (asked <= window / 2) ? window - asked : 0;
}

// Until the owner delivers the chunk, by what it did so far. A source that has not sent for a long
// time is expected to take as long again.
double Download::secondsLeft(SourceId owner, ChunkIndex chunk, TimePoint now) const {
  const auto found = sources_.find(owner);
  if (found == sources_.end()) return 0;
  const double silent = seconds(now - found->second.mark);
  if (found->second.bytesPerSecond == 0) return silent;
  const auto& asked = map_.askedOf(owner);
  const auto before = std::distance(asked.begin(), asked.upper_bound(chunk));
  const double expected =
      static_cast<double>(before) * static_cast<double>(chunkBytes_) / found->second.bytesPerSecond;
  return std::max(expected - silent, silent - expected);
}

std::optional<ChunkRange> Download::endGame(SourceId source, const Source& state, TimePoint now) {
  // Not measured yet: it may well be the one that everybody waits for.
  const double own = state.bytesPerSecond > 0
                         ? static_cast<double>(chunkBytes_) / state.bytesPerSecond
                         : seconds(kAhead);
  double worst = own * kClearly;
  std::optional<ChunkIndex> latest;
  for (const auto& [chunk, askers] : map_.askers()) {
    if (askers.size() >= limits::kAskersPerChunk || !state.offered.contains(chunk)) continue;
    double left = std::numeric_limits<double>::infinity();
    std::size_t lively = 0;
    for (const auto owner : askers) {
      left = std::min(left, secondsLeft(owner, chunk, now));
      const auto found = sources_.find(owner);
      lively += found != sources_.end() && now - found->second.mark < kLively;
    }
    if (lively >= kLivelyAskers) continue;
    if (left <= worst) continue;
    worst = left;
    latest = chunk;
  }
  if (!latest || !map_.assignAgain(source, *latest, now)) return std::nullopt;
  return ChunkRange{*latest, 1};
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
  source.early += bytes;
  if (arrived <= source.mark) return;  // a later one was delivered first
  const double elapsed = std::max(seconds(arrived - source.mark), 1e-6);
  const double rate = static_cast<double>(source.early) / elapsed;
  source.bytesPerSecond = source.bytesPerSecond == 0
                              ? rate
                              : source.bytesPerSecond * (1 - kRateWeight) + rate * kRateWeight;
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
