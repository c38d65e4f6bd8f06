// The schedule of one file's download from any number of sources: which source to ask for which
// chunks, and how far ahead. Sources join and leave at any time, and may hold parts only.
//
// Order. While a source holds parts only, the rarest chunk is asked for first: otherwise a chunk
// that few sources have is missing when they leave, and peers that fetch the same file at the same
// time have nothing to exchange. Among equally rare chunks a random one is taken, so that not all
// downloads ask for the same one. When all sources hold everything, chunks are asked for in order.
//
// Window. Each source is asked ahead for as much as it delivers in kAhead, so that latency does not
// starve it, but not for more than its share of what is missing, so that all sources end together.
// At first its rate is unknown. If it is the only source, it gets a trial: it is asked for many
// chunks, and sends those that it can within kAhead.
//
// End game. When no chunk is missing any more, an idle source is asked for the last chunks of those
// that another source was asked for: as many as it will deliver clearly sooner. Sources that have
// gone silent are not waited for.
//
// Alternatives rejected: a fixed number of chunks ahead (starves fast sources, waits for slow
// ones); asking all sources for everything in the end (wastes a window a source).
//
// Invariants: those of ChunkMap; a source is never asked for more than kAskedPerSource chunks, nor
// more than kAskersPerChunk sources for one chunk.
//
// Does no I/O and reads no clock: the caller says what happened and when. Not thread-safe:
// FetchWork calls it under its mutex. next() is O(sources) and as ChunkMap::assign, or
// assignRarest, for each chunk; in the end game O(n log n) in the chunks that are asked for.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "peer/transfer/core/chunk_map.h"

namespace espalier::transfer {

// Neighbouring chunks, asked for with one request.
struct ChunkRange {
  ChunkIndex first{};
  std::uint32_t count = 0;
  bool trial = false;  // of which to send what begins within Download::kAhead
  bool operator==(const ChunkRange&) const = default;
};

class Download {
 public:
  static constexpr std::chrono::milliseconds kAhead{500};

  // What a source is asked for before its rate is known: enough to measure, little to lose.
  static constexpr std::size_t kFirstChunks = 4;
  // The same in a trial: at a GB/s, more than is sent until the next request is there.
  static constexpr std::uint64_t kTrialBytes = 256 << 20;

  // `chunkBytes` is at least 1; an empty file has no chunks and is complete at once.
  // `trial`: of a source that is the only one; not where others are known that may join at once.
  // `seed`: of the choice among equally rare chunks.
  Download(std::uint64_t fileBytes, std::uint64_t chunkBytes, bool trial, std::uint64_t seed = 0);

  // A chunk that was verified in an earlier run.
  void hold(ChunkIndex chunk) { map_.hold(chunk); }

  // A source that holds `offered`. Its id is new, or that of one that left.
  void join(SourceId source, ChunkSet offered);
  void joinWithAll(SourceId source);
  // A source that holds parts has these chunks by now: at least those of before.
  void offer(SourceId source, ChunkSet offered);
  void leave(SourceId source);

  // What to ask the source for now, on top of what it was asked for. Nothing when it has enough to
  // do, or there is nothing for it: call again when a chunk arrived or a source left, and every
  // kRetry.
  std::optional<ChunkRange> next(SourceId source, TimePoint now);
  static constexpr Duration kRetry = std::chrono::milliseconds(50);

  // `arrived`: when its last byte arrived. Chunks may be delivered in any order.
  Verdict deliver(SourceId source, ChunkIndex chunk, bool hashRight, TimePoint arrived);
  // The rest of its trial, which the source will not send.
  void release(SourceId source, const ChunkRange& chunks);
  // The source said, in place of a chunk, that it cannot serve the file, or broke the protocol.
  void bar(SourceId source);

  bool complete() const { return map_.complete(); }
  bool expects(SourceId source) const { return !map_.askedOf(source).empty(); }
  const ChunkMap& map() const { return map_; }
  std::uint64_t chunkBytes() const { return chunkBytes_; }
  // The last chunk is as short as the file makes it.
  std::uint64_t bytesOf(ChunkIndex chunk) const;
  std::uint64_t heldBytes() const;
  // Of chunks that were right, but delivered twice.
  std::uint64_t wastedBytes() const { return wastedBytes_; }
  double bytesPerSecond(SourceId source) const;

 private:
  struct Source {
    explicit Source(ChunkSet has) : offered(std::move(has)) {}

    ChunkSet offered;
    TimePoint mark;             // of the newest sample, or when it began to be asked
    bool resting = true;        // there was nothing to ask it for
    double bytesPerSecond = 0;  // 0: not known yet
    std::uint64_t early = 0;    // bytes that count with the next sample
    // Since when it is asked, when nothing was on its way, and the least that took it to answer.
    std::optional<TimePoint> asked;
    double secondsToAnswer = 0;
    std::size_t trialChunks = 0;  // of its trial, not delivered yet
    TimePoint trialEnds;
    TimePoint refused;  // the end game had nothing for it
  };
  static double inSeconds(Duration duration) {
    return std::chrono::duration<double>(duration).count();
  }
  void count(const ChunkSet& offered, int copies);
  void forget(SourceId source);
  static void measure(Source& source, std::uint64_t bytes, TimePoint arrived);
  std::size_t room(SourceId source, const Source& state, TimePoint now) const;
  std::optional<ChunkRange> assign(SourceId source, const Source& state, std::size_t most);
  std::optional<ChunkRange> endGame(SourceId source, const Source& state, std::size_t most,
                                    TimePoint now);
  double secondsLeft(const Source& source, std::size_t place, TimePoint now) const;
  // When a chunk that is asked for will be here, and from how many sources that are lively.
  struct Expected {
    double seconds = 0;
    std::size_t lively = 0;
  };
  std::map<ChunkIndex, Expected> expected(TimePoint now) const;

  std::uint64_t fileBytes_;
  std::uint64_t chunkBytes_;
  bool trial_;
  ChunkMap map_;
  Random random_;
  std::map<SourceId, Source> sources_;
  std::size_t partial_ = 0;            // sources that hold parts
  std::vector<std::uint16_t> copies_;  // of each chunk, at those; empty until there was one
  std::uint64_t wastedBytes_ = 0;
};

}  // namespace espalier::transfer
