// The members of a network with their count and digest, as a master publishes them (publication.h)
// and every other metaserver holds them (replica.h). A value.
//
// Invariants: no two rows have one order or one id; digest() is that of the rows; newest() is at
// least the highest order.
//
// Does no I/O. Not thread-safe. put() and remove() cost O(log n + the row's bytes), check() the
// same for each row of the change.
#pragma once

#include <algorithm>
#include <cstddef>
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
inline constexpr std::size_t kGoneBytes = 10;  // of an order in a message, an upper bound

class Directory {
 public:
  struct Sum {
    std::uint64_t count = 0;
    wire::DirectoryDigest digest;

    bool operator==(const Sum&) const = default;
  };

  const RegistryCopy& copy() const { return copy_; }
  std::uint64_t count() const { return copy_.rows().size(); }
  Sum sum() const { return {count(), digest_}; }
  JoinOrder newest() const { return newest_; }
  wire::DirectorySummary summary(const wire::DirectoryVersion& version) const {
    return {version, count(), newest_, digest_};
  }

  // The orders of all, limits::kCoverageRanges ranges at most: where there are more, the smallest
  // gaps are closed. Empty if these would be more than limits::kMembers orders. O(n) after a
  // change.
  const std::vector<wire::OrderRange>& orders() const;

  // Adds the row, or replaces the one of its order. No row of another order has its id.
  void put(MemberRow row);
  // False: no row has this order.
  bool remove(JoinOrder order);
  // The highest order that any member had, whether or not it is still there.
  void learnNewest(JoinOrder newest) { newest_ = std::max(newest_, newest); }

  // What sum() would be without `gone` and then with `rows`; nothing changes. An error if no
  // directory can change like that: a form that no row has, an order or an id twice, an order that
  // is gone but was not there, more members than limits::kMembers.
  Result<Sum> check(std::span<const JoinOrder> gone, std::span<const MemberRow> rows) const;
  // The same without checks.
  void apply(std::span<const JoinOrder> gone, std::vector<MemberRow> rows);

 private:
  RegistryCopy copy_;
  wire::DirectoryDigest digest_;
  JoinOrder newest_ = kNoOrder;
  mutable std::optional<std::vector<wire::OrderRange>> orders_;  // none: to be made
};

}  // namespace espalier::metaserver::cluster
