// Members of the network that are not connected: those of before a restart, and those that were
// lost without a word and may live on with their links. Each can come back as it was if it shows
// its id, instance key and order of joining.
//
//   add --> held, awaited ("before" only) --release, or the time is up--> remembered --> forgotten
//                                  take: it came back, or its process started anew
//
// While an entry is held, its id is not given to another key. Later the id is free, and only the
// order of joining is kept for whoever shows all three.
//
// Bounds: limits::kAbsentMembers of those that were lost (the oldest make room), all of a state
// file; limits::kAbsentKept each. Does no I/O. Not thread-safe. O(log n) a call; expire() is
// amortised.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/ids.h"

namespace espalier::metaserver {

// A peer that is or was a member.
struct Remembered {
  PeerId id;
  InstanceKey key;
  JoinOrder order = kNoOrder;
  Endpoint endpoint;

  bool operator==(const Remembered&) const = default;
};

class AbsentMembers {
 public:
  enum class Why {
    restart,  // of the metaserver: newcomers wait for it
    lost,     // its connection ended, or it fell silent
  };

  // Takes the place of an entry with the same order. `heldUntil`: how long its id is kept for it.
  void add(Remembered member, Why why, TimePoint heldUntil, TimePoint now);
  // Removes and returns the entry that is exactly this one.
  bool take(const PeerId& id, const InstanceKey& key, JoinOrder order);
  // The process of that id and key has started anew: it has no order and no links to come back to.
  void startedAnew(const PeerId& id, const InstanceKey& key);
  // Nobody listens where this peer did: nobody waits for it, and its id is free.
  bool release(const PeerId& id);
  // Nobody waits for anybody any more.
  void stopAwaiting();
  void expire(TimePoint now);

  // For whose key an id is held, if it is.
  const Remembered* holder(const PeerId& id, TimePoint now) const;
  bool hasOrder(JoinOrder order) const { return byOrder_.contains(order); }
  std::size_t awaitedCount() const { return awaited_; }
  std::size_t size() const { return byOrder_.size(); }
  // Of those that were lost the last ones, while their ids are held; by order, at most `most`.
  // O(those that were lost within limits::kRejoinWait).
  std::vector<Remembered> lostLately(std::size_t most, TimePoint now) const;

 private:
  struct Entry {
    Remembered member;
    Why why = Why::lost;
    bool awaited = false;
    TimePoint heldUntil;
    std::uint64_t number = 0;  // of entries so far
  };
  using Entries = std::map<JoinOrder, Entry>;
  struct Due {
    TimePoint at;
    JoinOrder order;
  };
  using Ages = std::map<std::uint64_t, Due>;  // by the entry's number; so by time, too

  Ages& agesOf(Why why) { return ages_[static_cast<std::size_t>(why)]; }
  Entries::iterator latestOf(const PeerId& id);
  void erase(Entries::iterator entry);

  Entries byOrder_;
  std::map<PeerId, JoinOrder> latest_;  // of an id: the entry that was added last
  std::array<Ages, 2> ages_;            // by Why: when entries are forgotten
  std::size_t awaited_ = 0;
  std::uint64_t added_ = 0;
};

}  // namespace espalier::metaserver
