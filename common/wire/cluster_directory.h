// The messages by which the metaservers of a cluster copy the master's directory of members. Plain
// values without protobuf, so that cores can use them. metaserver/core/cluster/publication.h is the
// master's side, replica.h that of every other.
//
//   follower                         master
//      <-- Delta, at each change --     |
//      <-- Position, now and then --    |
//      -- Pull -->                      |
//      <-- Delta*, SnapshotPage*, Position: the answer
//
// A message of the master has at most limits::kFrameBytes: its rows and orders are cut at
// limits::kDirectoryMessageBytes by the estimate rowBytes() of metaserver/core/cluster/directory.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/wire/contact.h"

namespace espalier::wire {

// A member, as the directory has it.
struct DirectoryRow {
  Contact contact;  // order: 1 to limits::kJoinOrder; port: not 0
  InstanceKey key;
  std::vector<PeerId> neighbours;  // as it reports them, each once; at most limits::kMaxLinks
  JoinOrder above = kNoOrder;      // its parent in the tree; the link may be only reserved
  // Which of `neighbours` it reports as its parent, counted from 1; 0: none.
  std::uint8_t reportedParent = 0;
  ServerNumber home{};           // the metaserver that holds its connection
  std::uint32_t generation = 0;  // of its Join
  // When its session has begun, since 1970; 0: not known. Neither this nor `isRated` is part of the
  // digest, because metaservers of the version before have no such fields.
  std::chrono::milliseconds since{};
  bool isRated = false;  // in this session its user has rated the service
  // It is in these, beside the lobby: by name, each once; at most limits::kRoomsOfPeer. Part of the
  // digest once it has told a list.
  std::vector<RoomName> rooms{};
  std::uint64_t roomsRevision = 0;  // of its list; 0: it has told none

  bool operator==(const DirectoryRow&) const = default;
};

// A row that does not change any more. The directory, its copies and the messages that are kept
// share it, also across threads. Equal if the rows are. A copy costs O(1).
class SharedRow {
 public:
  // Implicit, so that rows can be listed.
  SharedRow(DirectoryRow row) : row_(std::make_shared<const DirectoryRow>(std::move(row))) {}

  // Not after a move.
  const DirectoryRow& operator*() const { return *row_; }
  const DirectoryRow* operator->() const { return row_.get(); }
  const DirectoryRow* get() const { return row_.get(); }
  friend bool operator==(const SharedRow& a, const SharedRow& b) {
    return a.row_ == b.row_ || *a == *b;
  }

 private:
  std::shared_ptr<const DirectoryRow> row_;
};

// A peer that was a member and may come back (metaserver/core/absent_members.h). Several may have
// one id.
struct AbsentRow {
  Contact contact;  // as of a member
  InstanceKey key;
  bool isBefore = false;  // of before a restart of all metaservers; else it was lost
  bool isFree = false;    // its id may be given to another peer

  bool operator==(const AbsentRow&) const = default;
};

// For code that handles both kinds of rows.
inline const Contact& contactOf(const SharedRow& row) {
  return row->contact;
}
inline const Contact& contactOf(const AbsentRow& row) {
  return row.contact;
}

// A state of a directory: deltas count the sequence up, in the epoch of one master.
struct DirectoryVersion {
  Epoch epoch;                 // the counter is at most limits::kEpochCounter
  std::uint64_t sequence = 0;  // below limits::kSequenceNumbers

  bool operator==(const DirectoryVersion&) const = default;
};

// The sum of all rows' hashes modulo 2^128 (metaserver/core/cluster/digest.h).
struct DirectoryDigest {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  bool operator==(const DirectoryDigest&) const = default;
};

// By what a copy of the directory is compared with it. A master of the version before knows nothing
// of absent members: it has none.
struct DirectorySummary {
  DirectoryVersion version;
  std::uint64_t count = 0;      // of members; at most limits::kMembers
  JoinOrder newest = kNoOrder;  // the highest order that any member had until then
  DirectoryDigest digest;
  bool isAwaiting = false;        // newcomers wait for the absent members with `isBefore`
  std::uint64_t absentCount = 0;  // at most limits::kAbsentCopied
  DirectoryDigest absentDigest{};

  bool operator==(const DirectorySummary&) const = default;
};

// One change of the directory: `gone` and `absentGone` are removed, then `rows` and `absent` are
// added or replaced.
struct Delta {
  DirectorySummary after;               // its version: one more than before this delta
  std::vector<JoinOrder> gone;          // each once
  std::vector<SharedRow> rows;          // each order and each id once
  std::vector<JoinOrder> absentGone{};  // each once
  std::vector<AbsentRow> absent{};      // each order once

  bool operator==(const Delta&) const = default;
};

// Higher than any order of joining: a copy that covers all orders up to it is whole.
inline constexpr JoinOrder kAllOrders{std::numeric_limits<std::uint64_t>::max()};

// All members, and all absent ones, whose orders are above `after`, and not above `upTo`, at the
// version of `of`.
struct SnapshotPage {
  std::uint64_t answers = 0;  // the number of the pull, not 0
  DirectorySummary of;        // of the whole directory
  JoinOrder after = kNoOrder;
  JoinOrder upTo = kAllOrders;      // kAllOrders: the last page
  std::vector<SharedRow> rows;      // by order; each id once
  std::vector<AbsentRow> absent{};  // by order

  bool operator==(const SnapshotPage&) const = default;
};

// What the master has: sent at intervals, so that a follower notices that the latest deltas were
// lost, and as the end of each answer.
struct Position {
  DirectorySummary of;
  std::uint64_t answers = 0;  // the number of the pull that it answers; 0: of none

  bool operator==(const Position&) const = default;
};

// Asks for what follows: the deltas after `have`, then, unless `covered` is kAllOrders, pages of
// the members whose orders are above `covered`. kNoOrder: begins a snapshot.
struct Pull {
  DirectoryVersion have;
  JoinOrder covered = kNoOrder;
  std::uint64_t number = 0;  // of this follower's pulls, not 0

  bool operator==(const Pull&) const = default;
};

// From the master.
using DirectoryMessage = std::variant<Delta, SnapshotPage, Position>;

}  // namespace espalier::wire
