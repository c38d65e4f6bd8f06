// The end game: see download.h.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "common/base/limits.h"
#include "peer/transfer/core/download.h"

namespace espalier::transfer {
namespace {

// At most so many lively sources are asked for a chunk: sources that sent something lately, and are
// expected to deliver it soon. Silent and very slow sources do not count, so that they do not keep
// a chunk from others.
constexpr std::size_t kLivelyAskers = 2;
constexpr Duration kLately = std::chrono::seconds(2);
constexpr double kSoonSeconds = 5;
static_assert(kLivelyAskers < limits::kAskersPerChunk);
// A chunk is asked for again only where it arrives sooner by this factor.
constexpr double kClearly = 1.5;

}  // namespace

// How long the source takes to deliver the chunk at this place (from 0) of those that it was asked
// for, estimated from its rate. A source that has been silent for some time is expected to stay
// silent for as long again.
double Download::secondsLeft(const Source& source, std::size_t place, TimePoint now) const {
  const double silent = inSeconds(now - source.mark);
  if (source.bytesPerSecond == 0) return silent;
  const double next = static_cast<double>(source.early + chunkBytes_) / source.bytesPerSecond;
  return std::abs(next - silent) + static_cast<double>(place * chunkBytes_) / source.bytesPerSecond;
}

std::map<ChunkIndex, Download::Expected> Download::expected(TimePoint now) const {
  std::map<ChunkIndex, Expected> chunks;
  std::vector<std::pair<std::uint64_t, ChunkIndex>> order;
  for (const auto& [id, source] : sources_) {
    order.clear();
    for (const auto& [chunk, request] : map_.askedOf(id)) order.emplace_back(request, chunk);
    std::sort(order.begin(), order.end());
    for (std::size_t place = 0; place < order.size(); ++place) {
      const ChunkIndex chunk = order[place].second;
      if (map_.isHeld(chunk)) continue;  // another source was faster; it is still sent
      const double left = secondsLeft(source, place, now);
      const auto [entry, isNew] = chunks.try_emplace(chunk, Expected{left});
      if (!isNew) entry->second.seconds = std::min(entry->second.seconds, left);
      entry->second.lively += now - source.mark < kLately && left < kSoonSeconds;
    }
  }
  return chunks;
}

std::optional<ChunkRange> Download::endGame(SourceId source, const Source& state, std::size_t most,
                                            TimePoint now) {
  // A rate that is not measured yet: this source may be the one that is waited for.
  const double perChunk = state.bytesPerSecond > 0
                              ? static_cast<double>(chunkBytes_) / state.bytesPerSecond
                              : inSeconds(kAhead);
  const double first = std::max(perChunk, std::min(state.secondsToAnswer, inSeconds(kAhead)));
  const auto wins = [&](double left, std::uint32_t count) {
    return left > kClearly * (first + (count - 1) * perChunk);
  };
  struct Late {
    ChunkIndex chunk;
    double seconds;
    const std::vector<SourceId>* askers;
  };
  std::vector<Late> late;
  std::size_t latest = 0;
  for (const auto& [chunk, when] : expected(now)) {
    const auto& askers = map_.askers().at(chunk);
    const bool enough = askers.size() >= limits::kAskersPerChunk || when.lively >= kLivelyAskers;
    if (enough || !state.offered.contains(chunk) || !wins(when.seconds, 1)) continue;
    if (late.empty() || when.seconds >= late[latest].seconds) latest = late.size();
    late.push_back({chunk, when.seconds, &askers});
  }
  if (late.empty()) return std::nullopt;
  // From the latest chunk backwards, as long as all have the same askers and this source is still
  // faster.
  std::size_t begin = latest;
  const auto count = [&] { return static_cast<std::uint32_t>(latest - begin + 1); };
  while (begin > 0 && count() < most && wins(late[latest].seconds, count() + 1) &&
         number(late[begin - 1].chunk) + 1 == number(late[begin].chunk) &&
         *late[begin - 1].askers == *late[begin].askers) {
    --begin;
  }
  for (std::size_t i = begin; i <= latest; ++i) {
    [[maybe_unused]] const bool assigned = map_.assignAgain(source, late[i].chunk);
    assert(assigned);
  }
  return ChunkRange{late[begin].chunk, count()};
}

}  // namespace espalier::transfer
