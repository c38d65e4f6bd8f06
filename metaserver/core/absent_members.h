// Members that are not connected: the members of a restarted metaserver that have not come back,
// and members whose connection was lost without Quit, which may still be running with their links.
// Each keeps its membership if it shows its id, instance key and order of joining.
//
//   add() --> held, and awaited if Why::restart --release()--> remembered --too old--> forgotten
//               |                                                             |
//               +----------------- take(): it came back ----------------------+--> gone
//               +----------------- startedAnew(): it joins as a newcomer -----+--> gone
//
// While an entry is held, its id is refused to any other key: a member that stood still, or was cut
// off, must not lose its id to whoever asks first. It is released when no process listens at its
// endpoint any more. Then the id is free, and the order of joining is kept for a peer that shows
// all three.
//
// The other metaservers of a cluster have a copy (cluster/directory.h): from follow() on the orders
// are noted whose entry has changed.
//
// Bounds: limits::kAbsentMembers lost members, of which each address has a part
// (Held::absentMembers; the oldest of an address that has used up its part is dropped, else the
// oldest of all), and all members of a state file; limits::kAbsentKept each. Of changes,
// limits::kAbsentCopied: what is beyond them is not copied. Does no I/O. Not
// thread-safe. Owned by MemberDirectory, and called by Registry through it. O(log n) a call,
// amortised for expire(); stopAwaiting() is O(n).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "metaserver/core/member_changes.h"

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
  // Of a member, while it was connected.
  struct Session {
    std::chrono::milliseconds since{};
    bool isRated = false;
  };

  enum class Why {
    restart,  // of the metaserver: newcomers wait for it
    lost,     // its connection ended, or it fell silent
  };

  // Replaces an entry with the same order. `address`, from which it came, pays for a lost member.
  // Not `isHeld`: its id is free already. `home`: the metaserver that it was at, if it is known.
  void add(Remembered member, Why why, TimePoint now, Account address = {}, bool isHeld = true,
           ServerNumber home = kNoServer);
  // The session of a lost member that was just added.
  void setSession(JoinOrder order, const Session& session, TimePoint now);
  // The session that such a peer goes on with: it was lost limits::kSessionAway ago at most.
  std::optional<Session> sessionOf(const PeerId& id, const InstanceKey& key, JoinOrder order,
                                   TimePoint now) const;
  // Removes the entry that is exactly this one; false if there is none.
  bool take(const PeerId& id, const InstanceKey& key, JoinOrder order);
  // The process of that id and key has restarted, without order and links: removes its entry.
  void startedAnew(const PeerId& id, const InstanceKey& key);
  // No process listens at its endpoint: it is not awaited any more, and its id is free.
  bool release(const PeerId& id);
  // The same for all that were lost at that metaserver; how many. O(n).
  std::size_t releaseHome(ServerNumber home);
  // No entry is awaited any more.
  void stopAwaiting();
  void expire(TimePoint now);

  // The entry that holds the id; null: none.
  const Remembered* holder(const PeerId& id) const;
  // Whether a member with this id may come back.
  bool hasId(const PeerId& id) const { return latest_.contains(id); }
  bool hasOrder(JoinOrder order) const { return byOrder_.contains(order); }
  std::size_t awaitedCount() const { return awaited_; }
  std::size_t size() const { return byOrder_.size(); }
  // Of the `most` members that were lost last, those whose ids are held, by order. O(most log n).
  std::vector<Remembered> lostLately(std::size_t most) const;
  // All entries, by order. Changes are noted from now on.
  std::vector<wire::AbsentRow> follow();
  // Those since the last call. O(changes log n).
  AbsentChanges takeChanges();

 private:
  struct Entry {
    Remembered member;
    Why why = Why::lost;
    bool awaited = false;
    bool isHeld = true;
    ServerNumber home = kNoServer;
    std::uint64_t number = 0;  // a serial number of entries
    Hold place;
    Session session;
    TimePoint goesOnUntil = TimePoint::min();
  };
  using Entries = std::map<JoinOrder, Entry>;
  struct Due {
    TimePoint at;
    JoinOrder order;
  };
  using Ages = std::map<std::uint64_t, Due>;  // by serial number, so also by time

  Ages& agesOf(Why why) { return ages_[static_cast<std::size_t>(why)]; }
  Hold placeFor(const Account& address);
  Entries::iterator latestOf(const PeerId& id);
  void erase(Entries::iterator entry);
  void changed(JoinOrder order);
  static wire::AbsentRow rowOf(const Entry& entry);

  Entries byOrder_;
  std::map<PeerId, JoinOrder> latest_;                  // by id: the entry that was added last
  std::array<Ages, 2> ages_;                            // by Why: when entries are forgotten
  std::map<Payer, std::set<std::uint64_t>> byAddress_;  // the numbers of lost members
  std::size_t awaited_ = 0;
  std::uint64_t added_ = 0;
  bool isFollowed_ = false;
  std::set<JoinOrder> changed_;
};

}  // namespace espalier::metaserver
