// The master's side of the directory's copies: numbers its changes, keeps the latest ones, and
// answers followers (replica.h) that lack some, with deltas or with a snapshot in pages.
//
//   changes of the registry --publish()--> deltas, which the caller sends to every follower
//   a Pull --answer()--> deltas, then pages, then a Position
//
// A directory's version is (epoch, sequence). An epoch has one Publication; it begins at sequence
// 0, and each delta adds 1. After each delta the directory is one that could exist: no order and no
// id twice.
//
// **A snapshot needs no copy of the directory, and no state here.** A follower that fills is
// described by its pull: the version that it has, and the order up to which it has all members
// (`covered`). What it holds is exactly this directory at that version, cut at that order. An
// answer keeps that true at each step:
//
//   - a delta moves the version by one; the follower applies those parts of it that lie within what
//     it covers, and ignores the rest, which a later page will have;
//   - a page is of the present version, to which the deltas before it have led; it moves `covered`.
//
// Deltas that are sent meanwhile to everybody come behind the answer on the same connection, and
// are applied in the same way. The last page covers all orders: the follower then has the whole
// directory at its version, which count and digest confirm. What arrives in another order, or not
// at all, does not fit to the follower's version or order; it ignores it and asks again, from
// where it is. A follower for which the deltas are not kept any more begins again.
//
// After a loss of the registry's changes (MemberChanges::fromScratch) the followers do not begin
// again: only the differences become deltas. While those pages come, the directory has members that
// are gone.
//
// Invariants: kept deltas are consecutive, end at sequence(), and have at most
// limits::kDeltasKeptBytes. A message has at most limits::kDirectoryMessageBytes and one row, by
// estimate.
//
// Does no I/O. Not thread-safe. publish() costs O(log n) a row, O(n) once where `fromScratch`
// begins; answer() O(limits::kPullAnswerBytes).
#pragma once

#include <deque>
#include <optional>
#include <unordered_set>
#include <vector>

#include "common/wire/cluster_directory.h"
#include "metaserver/core/cluster/directory.h"
#include "metaserver/core/cluster/epoch.h"
#include "metaserver/core/member_changes.h"

namespace espalier::metaserver::cluster {

class Publication {
 public:
  // `start`: the directory that a new master takes over from its replica.
  explicit Publication(Epoch epoch, Directory start = {});

  // The deltas, by sequence; none if nothing differs.
  std::vector<wire::Delta> publish(MemberChanges changes, AbsentChanges absent = {});
  // Whether newcomers wait for absent members. Told with what is sent next.
  void setAwaiting(bool isAwaiting) { isAwaiting_ = isAwaiting; }
  // To be sent to the follower in this order, and before any later delta. Nothing if the follower
  // has seen a newer epoch: this one is over.
  std::vector<wire::DirectoryMessage> answer(const wire::Pull& pull) const;
  // To be sent to every follower at intervals.
  wire::Position position(std::uint64_t answers = 0) const;

  const Directory& directory() const { return directory_; }
  Epoch epoch() const { return epoch_; }
  std::uint64_t sequence() const { return sequence_; }
  std::size_t keptBytes() const { return keptBytes_; }

 private:
  struct Draft;
  struct Kept {
    wire::Delta delta;
    std::size_t bytes;  // of this process's memory
  };
  // The members of before the changes began from scratch.
  struct Before {
    std::vector<JoinOrder> orders;  // ascending
    std::vector<bool> isSeen;
  };

  wire::DirectorySummary summary() const;
  bool keepsAfter(std::uint64_t sequence) const;
  template <typename Row>
  void append(const Row& row, std::unordered_set<JoinOrder>& orders, std::vector<Row>& rows,
              Draft& draft);
  void appendGone(JoinOrder order, std::vector<JoinOrder>& gone, Draft& draft);
  void remove(JoinOrder order, Draft& draft);
  void put(SharedRow row, Draft& draft);
  void putAbsent(wire::AbsentRow row, Draft& draft);
  void removeAbsent(JoinOrder order, Draft& draft);
  void finish(Draft& draft);
  void markSeen(JoinOrder order);
  wire::SnapshotPage page(JoinOrder after, std::uint64_t answers, std::size_t& bytes) const;

  Epoch epoch_;
  std::uint64_t sequence_ = 0;
  Directory directory_;
  bool isAwaiting_ = false;
  std::deque<Kept> kept_;
  std::size_t keptBytes_ = 0;
  std::optional<Before> before_;
};

}  // namespace espalier::metaserver::cluster
