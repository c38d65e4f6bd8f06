#include "metaserver/core/cluster/directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "common/base/limits.h"
#include "metaserver/core/cluster/digest.h"

namespace espalier::metaserver::cluster {
namespace {

constexpr std::size_t kNumbersBytes =
    limits::kDirectoryRowBytes - limits::kPeerIdBytes - limits::kHostBytes -
    (limits::kMaxLinks + limits::kRoomsOfPeer) * (limits::kPeerIdBytes + 4);

template <typename Row>
Error impossible(const Row& row, std::string_view what) {
  return {ErrorCode::protocol, fmt::format("member {}: {}", number(row.contact.order), what)};
}

template <typename Row>
Result<void> checkContact(const Row& row) {
  const auto& [id, order, endpoint, instance] = row.contact;
  if (order == kNoOrder || number(order) > limits::kJoinOrder) {
    return impossible(row, "its order is out of range");
  }
  if (id.empty()) return impossible(row, "it has no id");
  if (endpoint.port == 0) return impossible(row, "its port is 0");
  if (endpoint.host.empty() || endpoint.host.size() > limits::kHostBytes) {
    return impossible(row, fmt::format("its host has {} bytes", endpoint.host.size()));
  }
  return {};
}

Result<void> checkForm(const MemberRow& row) {
  if (auto form = checkContact(row); !form) return form;
  if (row.neighbours.size() > limits::kMaxLinks) {
    return impossible(row, fmt::format("it has {} links", row.neighbours.size()));
  }
  if (row.reportedParent > row.neighbours.size()) return impossible(row, "its parent is no link");
  if (row.above == row.contact.order) return impossible(row, "it is above itself");
  if (row.rooms.size() > limits::kRoomsOfPeer) {
    return impossible(row, fmt::format("it is in {} rooms", row.rooms.size()));
  }
  return {};
}

std::vector<wire::OrderRange> rangesOf(const std::map<JoinOrder, SharedRow>& rows) {
  std::vector<wire::OrderRange> ranges;
  for (const auto& [order, row] : rows) {
    if (!ranges.empty() && ranges.back().last + 1 == number(order)) {
      ++ranges.back().last;
    } else {
      ranges.push_back({number(order), number(order)});
    }
  }
  return ranges;
}

// Leaves the widest gaps.
std::vector<wire::OrderRange> closeGaps(std::vector<wire::OrderRange> ranges) {
  if (ranges.size() > limits::kCoverageRanges) {
    std::vector<std::size_t> behind(ranges.size() - 1);  // which range
    std::iota(behind.begin(), behind.end(), std::size_t{0});
    const auto gap = [&](std::size_t i) { return ranges[i + 1].first - ranges[i].last; };
    const auto closed =
        behind.begin() + static_cast<std::ptrdiff_t>(ranges.size() - limits::kCoverageRanges);
    std::nth_element(behind.begin(), closed, behind.end(),
                     [&](auto a, auto b) { return gap(a) < gap(b); });
    std::vector<bool> isOpen(ranges.size() - 1, true);
    std::for_each(behind.begin(), closed, [&](std::size_t i) { isOpen[i] = false; });
    std::vector<wire::OrderRange> fewer{ranges.front()};
    for (std::size_t i = 1; i < ranges.size(); ++i) {
      if (isOpen[i - 1]) fewer.push_back(ranges[i]);
      fewer.back().last = ranges[i].last;
    }
    ranges = std::move(fewer);
  }
  std::uint64_t total = 0;
  for (const auto& range : ranges) total += range.last - range.first + 1;
  if (total > limits::kMembers) ranges.clear();
  return ranges;
}

}  // namespace

std::size_t rowBytes(const MemberRow& row) {
  std::size_t bytes =
      kNumbersBytes + row.contact.id.text().size() + row.contact.endpoint.host.size();
  for (const auto& neighbour : row.neighbours) bytes += neighbour.text().size() + 4;
  for (const auto& room : row.rooms) bytes += room.text().size() + 4;
  return bytes;
}

std::size_t rowBytes(const wire::AbsentRow& row) {
  return kNumbersBytes + row.contact.id.text().size() + row.contact.endpoint.host.size();
}

std::vector<Remembered> Directory::lost(std::size_t most) const {
  std::vector<Remembered> lost;
  for (auto next = absent_.rbegin(); next != absent_.rend() && lost.size() < most; ++next) {
    const auto& [contact, key, isBefore, isFree] = next->second;
    if (!isBefore && !isFree) lost.push_back({contact.id, key, contact.order, contact.endpoint});
  }
  std::reverse(lost.begin(), lost.end());
  return lost;
}

void Directory::put(SharedRow row) {
  if (const MemberRow* old = copy_.find(row->contact.order)) {
    digest_ = digest_ - digestOf(*old);
  } else {
    orders_.reset();
  }
  digest_ = digest_ + digestOf(*row);
  learnNewest(row->contact.order);
  copy_.put(std::move(row));
}

const std::vector<wire::OrderRange>& Directory::orders() const {
  if (!orders_) orders_ = closeGaps(rangesOf(copy_.rows()));
  return *orders_;
}

bool Directory::remove(JoinOrder order) {
  const MemberRow* old = copy_.find(order);
  if (!old) return false;
  digest_ = digest_ - digestOf(*old);
  orders_.reset();
  return copy_.remove(order);
}

void Directory::putAbsent(wire::AbsentRow row) {
  removeAbsent(row.contact.order);
  absentDigest_ = absentDigest_ + digestOf(row);
  absent_.emplace(row.contact.order, std::move(row));
}

bool Directory::removeAbsent(JoinOrder order) {
  const auto there = absent_.find(order);
  if (there == absent_.end()) return false;
  absentDigest_ = absentDigest_ - digestOf(there->second);
  absent_.erase(there);
  return true;
}

Result<void> Directory::checkAbsent(const Change& change, Sum& after) const {
  std::unordered_set<JoinOrder> without;
  const auto remove = [&](JoinOrder order) {
    const auto old = absent_.find(order);
    if (old == absent_.end() || !without.insert(order).second) return false;
    after.absentDigest = after.absentDigest - digestOf(old->second);
    --after.absentCount;
    return true;
  };
  for (const JoinOrder order : change.absentGone) {
    if (remove(order)) continue;
    return Error{ErrorCode::protocol,
                 fmt::format("absent member {} is removed, but is not there", number(order))};
  }
  std::unordered_set<JoinOrder> orders;
  for (const auto& row : change.absent) {
    if (auto form = checkContact(row); !form) return form;
    if (!orders.insert(row.contact.order).second) return impossible(row, "two have its order");
    remove(row.contact.order);
    after.absentDigest = after.absentDigest + digestOf(row);
    ++after.absentCount;
  }
  if (after.absentCount > limits::kAbsentCopied) {
    return Error{ErrorCode::protocol, fmt::format("{} absent members", after.absentCount)};
  }
  return {};
}

Result<Directory::Sum> Directory::check(const Change& change) const {
  const auto& gone = change.gone;
  const auto& rows = change.rows;
  Sum after = sum();
  std::unordered_set<JoinOrder> without;
  for (const JoinOrder order : gone) {
    const MemberRow* old = copy_.find(order);
    if (!old || !without.insert(order).second) {
      return Error{ErrorCode::protocol,
                   fmt::format("member {} is removed, but is not there", number(order))};
    }
    after.digest = after.digest - digestOf(*old);
    --after.count;
  }
  std::unordered_set<JoinOrder> orders;
  std::unordered_set<std::string_view> ids;
  for (const auto& shared : rows) {
    const MemberRow& row = *shared;
    if (auto form = checkForm(row); !form) return form.error();
    const auto& [id, order, endpoint, instance] = row.contact;
    if (!orders.insert(order).second) return impossible(row, "two rows have its order");
    if (!ids.insert(id.text()).second) return impossible(row, "two rows have its id");
    const MemberRow* owner = copy_.find(id);
    if (owner && owner->contact.order != order && !without.contains(owner->contact.order)) {
      return impossible(row, fmt::format("its id is that of {}", number(owner->contact.order)));
    }
    const MemberRow* old = without.contains(order) ? nullptr : copy_.find(order);
    if (old && old->contact.id != id) return impossible(row, "it changes its id");
    after.digest = after.digest + digestOf(row);
    if (old) {
      after.digest = after.digest - digestOf(*old);
    } else {
      ++after.count;
    }
  }
  if (after.count > limits::kMembers) {
    return Error{ErrorCode::protocol, fmt::format("a directory of {} members", after.count)};
  }
  if (auto possible = checkAbsent(change, after); !possible) return possible.error();
  return after;
}

void Directory::apply(const Change& change) {
  for (const JoinOrder order : change.gone) remove(order);
  for (const auto& row : change.rows) put(row);
  for (const JoinOrder order : change.absentGone) removeAbsent(order);
  for (const auto& row : change.absent) putAbsent(row);
}

}  // namespace espalier::metaserver::cluster
