// The sources of one fetch: which ones there are, what each has delivered, and which to dial next.
//
//   add --> to dial --next--> conversing --end--> ended, or dialled once more
//              ^                              |     |
//              +------- it is busy (a pause) -+     |
//              +------- add (found again) ----------+
//
// A source is an endpoint: what others say about a peer can't keep the peer itself from being
// asked, and no endpoint is dialled twice at a time, however many ids are said to be there. A
// source that is found again is tried once more, unless it lied, or failed kTriesInVain times
// without delivering anything. One that is busy is dialled again after growing pauses, kTriesBusy
// times. Endpoints that DialTargets excludes are not dialled; others wait until it allows them.
//
// Bounds: limits::kFetchHolders sources at a time; those that ended make room, up to kSourcesMost
// in all.
//
// A table without threads or I/O. Not thread-safe: FetchWork's mutex guards it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/net/blocking_stream.h"
#include "peer/transfer/core/chunk_map.h"
#include "peer/transfer/dial_targets.h"
#include "peer/transfer/downloader.h"

namespace espalier::transfer {

struct FetchSource {
  Holder holder;
  int tries = 0;  // since it last delivered a chunk
  bool dialled = false;
  bool ended = false;  // nothing is expected of it any more
  bool lied = false;
  bool replaced = false;    // it was slow, and others waited for its thread
  bool changed = false;     // it said that the file has changed there
  unsigned busy = 0;        // so often in a row it had no place for this peer
  TimePoint notBefore{};    // when it may be dialled again
  std::uint64_t bytes = 0;  // that were right and used
  std::optional<Error> problem;

  // Of the conversation that goes on:
  SourceId id{};
  const net::BlockingStream* stream = nullptr;  // while it is connected
  TimePoint connectedAt{};
  std::uint32_t position = 0;  // in its queue
  std::size_t inLanes = 0;     // chunks that arrived and are not verified yet
  bool delivered = false;      // a chunk that was right
  bool isBusy = false;         // it said so in place of a Welcome
  std::optional<Error> lie;    // that a lane found
  TimePoint lieAt{};
};

class FetchSources {
 public:
  explicit FetchSources(std::shared_ptr<DialTargets> targets = std::make_shared<DialTargets>())
      : targets_(std::move(targets)) {}

  // The conversation with the source has ended for good, unless it was busy. After a source has
  // said that the file changed, it may be dialled again, and then says that it does not share the
  // file: the first reason is kept.
  void end(std::size_t index, Error why, TimePoint now);
  // Whether one of them is to be dialled.
  bool add(const std::vector<Holder>& holders);
  // Takes the next source to dial. Nothing: there is none, or all of them have to wait.
  std::optional<std::size_t> next(TimePoint now);
  // Puts back what next() returned.
  void putBack(std::size_t index) { toDial_.push_front(index); }
  // Now or later.
  bool anyToDial() const { return !toDial_.empty(); }

  // References stay valid.
  FetchSource& operator[](std::size_t index) { return sources_[index]; }
  const FetchSource& operator[](std::size_t index) const { return sources_[index]; }

  // A conversation with the source begins. Returns its id in the schedule, a new one each time.
  SourceId beginConversation(std::size_t index);
  // A Welcome came. The stream exists until the conversation ends.
  void connected(std::size_t index, const net::BlockingStream& stream, TimePoint now);
  // The conversation ended. `inVain`: the dial failed, or no Welcome came.
  void disconnected(std::size_t index, bool inVain);
  // It has no place for this peer now.
  void busy(std::size_t index) { sources_[index].isBusy = true; }
  // Cuts the connections of sources that lied a while ago. Their threads may wait for more.
  void cutLiars(TimePoint now) const;
  // While others can be dialled, and no thread is free: cuts the slowest source, unless all are
  // fast, or have just begun. `limit`: the rate of this peer's downloads, or RateLimit::kNone; a
  // source that is slow because of it is not cut. If all sources together are fast enough, this
  // peer's own line may be what is slow. Then one source is cut each kReplacePause.
  void replaceSlowest(TimePoint now, std::uint64_t limit);

  // For the user. `rate`: bytes a second of a source.
  std::vector<FetchProgress::Source> connected(const std::function<double(SourceId)>& rate) const;
  std::vector<SourceReport> reports() const;
  // What went wrong with the first few; nothing when none has failed.
  std::optional<Error> problems() const;

 private:
  std::shared_ptr<DialTargets> targets_;
  std::deque<FetchSource> sources_;
  std::deque<std::size_t> toDial_;
  std::uint32_t nextId_ = 0;
  TimePoint replacedAt_{};
};

// How long a thread listens to a source that lied: it may say that the file has changed.
inline constexpr auto kLieGrace = std::chrono::seconds(1);

}  // namespace espalier::transfer
