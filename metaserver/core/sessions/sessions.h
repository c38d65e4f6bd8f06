// The sessions of a metaserver's peers, and what is counted of them: the two tables of
// docs/statistics.md, as a core.
//
//   none --Here--> open --Left------------------------------------> ended: a row
//                   ^ |                                               ^
//              Here | | Gone                                          |
//                   | v                                               |
//                  away --limits::kSessionAway after it was heard-----+
//                     +---Elsewhere, or another home has it------> none
//
// A session is known by its order of joining and its beginning, which travels with it: a member
// that is back within limits::kSessionAway, here or at another home, goes on with the same one. The
// home at the end writes the row. Of the sessions of a dead metaserver the master does (Ended).
//
// After a restart the sessions that were open are away since they were seen last. If another
// metaserver that was there then still runs, it has taken them over: nothing is written here.
//
// What is to be written is taken in batches by who writes; until then it is kept. The latest
// moment is part of each batch, so that after a kill the open sessions have their last time.
//
// Invariants: an order has one session; a session has one row at most; times and dates never go
// back (forward_time.h); numbers never fall (counters.h).
//
// Bounds: limits::kMembers open sessions (others are counted, but have no row);
// limits::kSessionRowsWaiting rows and limits::kRatingsWaiting ratings that are not written; the
// oldest make room.
//
// Does no I/O: the caller hands in both clocks. Not thread-safe: the shell keeps it in a Guarded.
// O(log n) an event; a batch O(its rows).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/registry.h"
#include "metaserver/core/session_event.h"
#include "metaserver/core/sessions/counters.h"
#include "metaserver/core/sessions/forward_time.h"

namespace espalier::metaserver::sessions {

using std::chrono::milliseconds;

// A run of a metaserver.
struct Run {
  ServerNumber number{};
  milliseconds started{};

  auto operator<=>(const Run&) const = default;
};

struct OpenRow {
  JoinOrder order{};
  PeerId id;
  milliseconds since{};
  std::optional<milliseconds> away;  // since then; none: it is here

  bool operator==(const OpenRow&) const = default;
};

struct EndedRow {
  Day date{};  // never before that of an earlier row
  PeerId id;
  milliseconds in{};
  milliseconds out{};

  bool operator==(const EndedRow&) const = default;
};

struct RatingRow {
  milliseconds at{};
  session::Rating rating;

  bool operator==(const RatingRow&) const = default;
};

// What is on disk at the start.
struct Stored {
  milliseconds since{};  // it has counted since then; 0: it begins now
  milliseconds seen{};   // the latest moment that was written
  Day date{};            // of the last row that was written
  std::vector<Run> others;
  std::vector<OpenRow> open;
  Counters::Stored counters;
};

// To be written together, in this order.
struct Batch {
  bool isWhole = false;          // all other open rows are removed; the rest follows (`more`)
  std::vector<OpenRow> open;     // new, or changed
  std::vector<JoinOrder> ended;  // not open any more
  std::vector<EndedRow> rows;
  std::vector<RatingRow> ratings;
  std::vector<DayRow> days;  // rising; new or changed
  bool hasAllDays = false;   // `days` and `earlier` are all that was counted: others are removed
  Tally earlier;             // with hasAllDays: what was counted before the first of `days`
  milliseconds since{};
  milliseconds seen{};
  Day date{};
  std::vector<Run> others;
  std::uint64_t dropped = 0;  // rows that had no room
  bool more = false;          // there is more to be written at once
};

class Sessions {
 public:
  // Whether a member with that order and beginning is in the directory.
  using IsMember = std::function<bool(JoinOrder order, milliseconds since)>;

  Sessions(Stored stored, const Wall& wall, TimePoint now);

  // --- events
  void take(const session::Event& event, const Wall& wall, TimePoint now);
  // The other metaservers that are reached.
  void setOthers(std::vector<Run> others);
  // For deadline(), and when members may have come or gone.
  void tick(const IsMember& isMember, const Wall& wall, TimePoint now);
  TimePoint deadline() const;
  // Who tick() asks about at that time.
  std::vector<std::pair<JoinOrder, milliseconds>> due(TimePoint now) const;
  // The next batch has this moment, too.
  void touch(const Wall& wall, TimePoint now);

  // --- queries
  // When the session that such a Join begins, or goes on with, has begun.
  milliseconds beginningOf(const wire::Join& join, const Wall& wall, TimePoint now);
  // Of this metaserver, with the last `days` days.
  wire::Statistics statistics(std::size_t days) const;
  std::size_t openCount() const { return open_.size(); }

  // --- for who writes
  bool hasBatch() const { return isDirty_; }
  // `all`: the file is new, so the batch has all days and open sessions, not only changes.
  std::optional<Batch> takeBatch(bool all);

 private:
  struct Session {
    PeerId id;
    milliseconds since{};
    ConnectionId connection{};  // if it is here
    bool isHere = false;
    bool isOfBefore = false;  // it was open here before the restart
    bool isChanged = false;   // it is in changed_
    milliseconds seen{};      // if it is away
    TimePoint until{};        // likewise
  };
  using Open = std::unordered_map<JoinOrder, Session>;

  void observe(const Wall& wall, TimePoint now);
  void load(const Stored& stored, TimePoint now);
  void take(const session::Approached& event, TimePoint now);
  void take(const session::LostApproach& event, TimePoint now);
  void take(const session::Here& event, TimePoint now);
  void take(const session::Gone& event, TimePoint now);
  void take(const session::Left& event, TimePoint now);
  void take(const session::Elsewhere& event, TimePoint now);
  void take(const session::Ended& event, TimePoint now);
  void take(const session::Rating& event, TimePoint now);
  void count(const Tally& more);
  void endUnlessTakenOver(Open::iterator session);
  void end(Open::iterator session, milliseconds out);
  void erase(Open::iterator session);
  void addRow(const PeerId& id, milliseconds in, milliseconds out);
  void changed(Open::value_type& session);
  void noteChange(JoinOrder order);
  void restoreDays(Batch& batch);

  ForwardTime time_;
  TimePoint observed_ = kNever;
  milliseconds since_;
  Day date_;  // of the latest row
  Counters counters_;
  Open open_;
  std::set<std::pair<TimePoint, JoinOrder>> away_;
  std::vector<Run> others_;
  std::vector<Run> othersBefore_;  // at the last moment before a restart
  bool isTakenOver_ = false;       // one of those still runs

  // Not taken yet.
  bool isDirty_ = true;
  bool isWhole_ = false;  // changed_ has not all
  // Sessions that were changed, each once while it is open, and those that have ended.
  std::vector<JoinOrder> changed_;
  std::deque<EndedRow> rows_;
  std::deque<RatingRow> ratings_;
  std::map<Day, DayRow> days_;
  std::uint64_t dropped_ = 0;
  TimePoint writeAt_;
};

}  // namespace espalier::metaserver::sessions
