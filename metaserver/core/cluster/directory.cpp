#include "metaserver/core/cluster/directory.h"

#include <fmt/format.h>

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

}  // namespace

std::size_t rowBytes(const MemberRow& row) {
  std::size_t bytes =
      kNumbersBytes + row.contact.id.text().size() + row.contact.endpoint.host.size();
  for (const auto& neighbour : row.neighbours) bytes += neighbour.text().size() + 4;
  return bytes;
}

void Directory::put(MemberRow row) {
  if (const MemberRow* old = copy_.find(row.contact.order)) digest_ = digest_ - digestOf(*old);
  digest_ = digest_ + digestOf(row);
  learnNewest(row.contact.order);
  copy_.put(std::move(row));
}

bool Directory::remove(JoinOrder order) {
  const MemberRow* old = copy_.find(order);
  if (!old) return false;
  digest_ = digest_ - digestOf(*old);
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
