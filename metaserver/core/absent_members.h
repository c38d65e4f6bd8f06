// Members of the network that are not connected: those of before a restart of the metaserver, and
// those whose connection ended without a goodbye, which may live on with their links. Each comes
// back as it was if it shows its id, instance key and order of joining.
//
//   add() --> held, and awaited if Why::restart --release(), heldUntil--> remembered --> forgotten
//               |                                                             |
//               +----------------- take(): it came back ----------------------+--> gone
//               +----------------- startedAnew(): it joins as a newcomer -----+--> gone
//
// While an entry is held, its id is given to no other key. Afterwards the id is free, and the order
// of joining is kept for a peer that shows all three.
//
// Bounds: limits::kAbsentMembers that were lost (the oldest make room), all of a state file;
// limits::kAbsentKept each. Does no I/O. Not thread-safe. Owned by MemberDirectory. O(log n) a
// call; expire() is amortised.
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

  // Replaces an entry with the same order. Its id is held until `heldUntil`.
  void add(Remembered member, Why why, TimePoint heldUntil, TimePoint now);
  // Removes the entry that is exactly this one; false if there is none.
  bool take(const PeerId& id, const InstanceKey& key, JoinOrder order);
  // The process of that id and key has started anew and has no order and no links any more.
  void startedAnew(const PeerId& id, const InstanceKey& key);
  // Nothing listens at its endpoint: it is not awaited any more, and its id is free.
  bool release(const PeerId& id);
  // No entry is awaited any more.
  void stopAwaiting();
  void expire(TimePoint now);

  // The entry that holds the id, if one does.
  const Remembered* holder(const PeerId& id, TimePoint now) const;
  bool hasOrder(JoinOrder order) const { return byOrder_.contains(order); }
  std::size_t awaitedCount() const { return awaited_; }
  std::size_t size() const { return byOrder_.size(); }
  // The latest of those that were lost, while their ids are held; by order, at most `most`.
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
