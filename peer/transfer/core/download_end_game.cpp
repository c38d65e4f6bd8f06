// The end game: see download.h.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "common/base/limits.h"
#include "peer/transfer/core/download.h"

namespace espalier::transfer {
namespace {

// In the end game no more than so many lively sources are asked for a chunk: those that sent
// something lately, and will have it soon. Silent and very slow ones do not keep it from others.
constexpr std::size_t kLivelyAskers = 2;
constexpr Duration kLately = std::chrono::seconds(2);
constexpr double kSoonSeconds = 5;
static_assert(kLivelyAskers < limits::kAskersPerChunk);
// In the end game a chunk is asked for again only where that wins clearly.
constexpr double kClearly = 1.5;

}  // namespace

// Until it delivers what is at this place, from 0, of what it was asked for, by what it did so far.
// A source that has not sent for a long time is expected to take as long again.
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
      if (map_.isHeld(chunk)) continue;  // it comes all the same
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
  // Not measured yet: it may well be the one that everybody waits for.
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
  // From the latest one back, as long as all are with the same ones and it still wins.
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
