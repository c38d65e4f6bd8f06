#include "metaserver/core/cluster/directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <string_view>
#include <unordered_set>

#include "common/base/limits.h"
#include "metaserver/core/cluster/digest.h"

namespace espalier::metaserver::cluster {
namespace {

constexpr std::size_t kNumbersBytes = limits::kDirectoryRowBytes - limits::kPeerIdBytes -
                                      limits::kHostBytes -
                                      limits::kMaxLinks * (limits::kPeerIdBytes + 4);

Error impossible(const MemberRow& row, std::string_view what) {
  return {ErrorCode::protocol, fmt::format("member {}: {}", number(row.contact.order), what)};
}

Result<void> checkForm(const MemberRow& row) {
  const auto& [id, order, endpoint] = row.contact;
  if (order == kNoOrder || number(order) > limits::kJoinOrder) {
    return impossible(row, "its order is out of range");
  }
  if (id.empty()) return impossible(row, "it has no id");
  if (endpoint.port == 0) return impossible(row, "its port is 0");
  if (endpoint.host.empty() || endpoint.host.size() > limits::kHostBytes) {
    return impossible(row, fmt::format("its host has {} bytes", endpoint.host.size()));
  }
  if (row.neighbours.size() > limits::kMaxLinks) {
    return impossible(row, fmt::format("it has {} links", row.neighbours.size()));
  }
  if (row.reportedParent > row.neighbours.size()) return impossible(row, "its parent is no link");
  if (row.above == order) return impossible(row, "it is above itself");
  return {};
}

std::vector<wire::OrderRange> rangesOf(const std::map<JoinOrder, MemberRow>& rows) {
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
  return bytes;
}

void Directory::put(MemberRow row) {
  if (const MemberRow* old = copy_.find(row.contact.order)) {
    digest_ = digest_ - digestOf(*old);
  } else {
    orders_.reset();
  }
  digest_ = digest_ + digestOf(row);
  learnNewest(row.contact.order);
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

Result<Directory::Sum> Directory::check(std::span<const JoinOrder> gone,
                                        std::span<const MemberRow> rows) const {
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
  for (const auto& row : rows) {
    if (auto form = checkForm(row); !form) return form.error();
    const auto& [id, order, endpoint] = row.contact;
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
  return after;
}

void Directory::apply(std::span<const JoinOrder> gone, std::vector<MemberRow> rows) {
  for (const JoinOrder order : gone) remove(order);
  for (auto& row : rows) put(std::move(row));
}

}  // namespace espalier::metaserver::cluster
