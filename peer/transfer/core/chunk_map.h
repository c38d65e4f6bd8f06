// Which chunks of one file this peer holds, lacks, or has asked for. The only place where the state
// of a chunk is kept: Download (a fetch) and PushSchedule (a push) decide on it.
//
//   missing --assign--> asked --deliver(right), obtain--> held
//      ^                  |
//      +-- deliver(wrong), release of its last asker
//
// Invariants:
// - A chunk is in exactly one state. `held` is final, and reached only by a chunk whose hash was
//   right.
// - A chunk is `asked` exactly while a source that was asked for it has neither answered nor left.
// - A source that sent a wrong chunk is barred: it is never asked for anything again. A damaged
//   disk or a liar would otherwise starve the healthy sources.
//
// Does no I/O and reads no clock. Not thread-safe: its owner guards it. assign() is O(log asked)
// amortised for sources that hold everything, and O(chunks) for those that hold parts, as is
// assignRarest(); memory is a byte a chunk, and an entry for each chunk that is asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

namespace espalier::transfer {

// The place of a chunk in its file, from 0.
enum class ChunkIndex : std::uint64_t {};
constexpr std::uint64_t number(ChunkIndex chunk) {
  return static_cast<std::uint64_t>(chunk);
}

// One holder within one download. The caller numbers them; a holder that comes back gets a new one,
// unless it was barred.
enum class SourceId : std::uint32_t {};
constexpr std::uint32_t number(SourceId source) {
  return static_cast<std::uint32_t>(source);
}

// A set of chunks of one file.
class ChunkSet {
 public:
  explicit ChunkSet(std::uint64_t chunks) : chunks_(chunks), words_((chunks + 63) / 64) {}
  static ChunkSet all(std::uint64_t chunks);
  // A bit a chunk, the lowest of a byte first; those behind the last chunk are ignored.
  static ChunkSet fromBits(std::uint64_t chunks, std::string_view bits);

  bool contains(ChunkIndex chunk) const;
  void insert(ChunkIndex chunk);  // one that the file has
  std::uint64_t size() const { return size_; }
  bool full() const { return size_ == chunks_; }

 private:
  std::uint64_t chunks_;
  std::uint64_t size_ = 0;
  std::vector<std::uint64_t> words_;
};

enum class Verdict {
  fresh,      // held from now on: write it
  duplicate,  // right, but another source was faster: drop it
  wrong,      // the hash did not match: the source is barred
  unasked,    // that source was not asked for this chunk: a protocol error of the source
};

class ChunkMap {
 public:
  explicit ChunkMap(std::uint64_t chunks);

  // The chunk was verified earlier. One that is asked for stays so, because it arrives anyway.
  void hold(ChunkIndex chunk);

  // The lowest missing chunk that the source offers; from now on it is asked for. Nothing when
  // there is none, or the source is barred.
  std::optional<ChunkIndex> assign(SourceId source, const ChunkSet& offered);
  // The same for the one of which there are the fewest copies, in `copies` by index; of several the
  // first from `from` on, around the end.
  std::optional<ChunkIndex> assignRarest(SourceId source, const ChunkSet& offered,
                                         const std::vector<std::uint16_t>& copies, ChunkIndex from);
  // The same for a chunk of the caller's choice: false if it is not missing, or not offered.
  bool assignThis(SourceId source, ChunkIndex chunk, const ChunkSet& offered);
  bool assignThis(SourceId source, ChunkIndex chunk);
  // Asks one more source for a chunk that is asked for already: false if that one was asked for it,
  // is barred, or the chunk is not in that state.
  bool assignAgain(SourceId source, ChunkIndex chunk);

  Verdict deliver(SourceId source, ChunkIndex chunk, bool hashRight);
  // A verified chunk is here, from any source. No source is expected to deliver it any more. False
  // if it was held before.
  bool obtain(ChunkIndex chunk);
  // It left, or stalls: chunks that only it was asked for are missing again.
  void release(SourceId source);
  // It will not send this one of the chunks that it was asked for.
  void release(SourceId source, ChunkIndex chunk);
  void bar(SourceId source);

  std::uint64_t chunks() const { return states_.size(); }
  std::uint64_t held() const { return held_; }
  std::uint64_t missing() const { return states_.size() - held_ - askers_.size(); }
  bool complete() const { return held_ == states_.size(); }
  bool isHeld(ChunkIndex chunk) const;
  bool isMissing(ChunkIndex chunk) const;
  bool isBarred(SourceId source) const { return barred_.contains(source); }

  // What a source was asked for and has not answered, with numbers in the order of asking.
  using Asked = std::map<ChunkIndex, std::uint64_t>;
  const Asked& askedOf(SourceId source) const;
  // Every chunk in the state `asked`, with the sources that were asked for it.
  const std::map<ChunkIndex, std::vector<SourceId>>& askers() const { return askers_; }

  // Asserts the invariants. O(chunks): for tests.
  void check() const;

 private:
  enum class State : std::uint8_t { missing, asked, held };
  State& at(ChunkIndex chunk) { return states_[number(chunk)]; }
  State at(ChunkIndex chunk) const { return states_[number(chunk)]; }
  void ask(SourceId source, ChunkIndex chunk);
  void forget(SourceId source, ChunkIndex chunk);

  std::vector<State> states_;
  std::uint64_t held_ = 0;
  std::uint64_t next_ = 0;         // every missing chunk below it is in returned_
  std::set<ChunkIndex> returned_;  // missing again
  std::map<ChunkIndex, std::vector<SourceId>> askers_;
  std::uint64_t requests_ = 0;
  std::map<SourceId, Asked> asked_;  // also chunks that another source delivered meanwhile
  std::set<SourceId> barred_;
};

}  // namespace espalier::transfer
