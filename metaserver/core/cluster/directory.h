// The members of a network with their count and digest, as a master publishes them (publication.h)
// and every other metaserver holds them (replica.h). Beside them the absent members, who may come
// back (absent_members.h), so that the next master knows them, too. A value.
//
// Invariants: no two rows have one order or one id; no two absent ones one order; the digests are
// those of the rows; newest() is at least the highest order of a member. An order may be that of a
// member and of an absent one for a moment: then it is the member's.
//
// Does no I/O. Not thread-safe. put() and remove() cost O(log n + the row's bytes), check() the
// same for each row of the change.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "common/base/result.h"
#include "common/wire/cluster_directory.h"
#include "common/wire/order_range.h"
#include "metaserver/core/cluster/epoch.h"
#include "metaserver/core/registry_copy.h"

namespace espalier::metaserver::cluster {

// The bytes of a row in a message, an upper bound.
std::size_t rowBytes(const MemberRow& row);
inline std::size_t rowBytes(const SharedRow& row) {
  return rowBytes(*row);
}
std::size_t rowBytes(const wire::AbsentRow& row);
inline constexpr std::size_t kGoneBytes = 10;  // of an order in a message, an upper bound

class Directory {
 public:
  struct Sum {
    std::uint64_t count = 0;
    wire::DirectoryDigest digest;
    std::uint64_t absentCount = 0;
    wire::DirectoryDigest absentDigest{};

    bool operator==(const Sum&) const = default;
  };
  // What is removed, then what is added or replaced: of members, and of absent ones.
  struct Change {
    std::span<const JoinOrder> gone{};
    std::span<const SharedRow> rows{};
    std::span<const JoinOrder> absentGone{};
    std::span<const wire::AbsentRow> absent{};
  };

  const RegistryCopy& copy() const { return copy_; }
  std::uint64_t count() const { return copy_.rows().size(); }
  Sum sum() const { return {count(), digest_, absent_.size(), absentDigest_}; }
  // The absent members, by order.
  const std::map<JoinOrder, wire::AbsentRow>& absent() const { return absent_; }
  // Those that were lost and whose ids are held, by order: the newest `most`.
  std::vector<Remembered> lost(std::size_t most) const;
  JoinOrder newest() const { return newest_; }
  wire::DirectorySummary summary(const wire::DirectoryVersion& version) const {
    return {version, count(), newest_, digest_, false, absent_.size(), absentDigest_};
  }

  // The orders of all, limits::kCoverageRanges ranges at most: where there are more, the smallest
  // gaps are closed. Empty if these would be more than limits::kMembers orders. O(n) after a
  // change.
  const std::vector<wire::OrderRange>& orders() const;

  // Adds the row, or replaces the one of its order. No row of another order has its id.
  void put(SharedRow row);
  // False: no row has this order.
  bool remove(JoinOrder order);
  void putAbsent(wire::AbsentRow row);
  bool removeAbsent(JoinOrder order);
  // The highest order that any member had, whether or not it is still there.
  void learnNewest(JoinOrder newest) { newest_ = std::max(newest_, newest); }

  // What sum() would be after the change; nothing changes. An error if no directory can change like
  // that: a form that no row has, an order or an id twice, an order that is gone but was not there,
  // more members than limits::kMembers, more absent ones than limits::kAbsentCopied.
  Result<Sum> check(const Change& change) const;
  // The same without checks.
  void apply(const Change& change);

 private:
  Result<void> checkAbsent(const Change& change, Sum& after) const;

  RegistryCopy copy_;
  wire::DirectoryDigest digest_;
  JoinOrder newest_ = kNoOrder;
  mutable std::optional<std::vector<wire::OrderRange>> orders_;  // none: to be made
  std::map<JoinOrder, wire::AbsentRow> absent_;
  wire::DirectoryDigest absentDigest_{};
};

}  // namespace espalier::metaserver::cluster
