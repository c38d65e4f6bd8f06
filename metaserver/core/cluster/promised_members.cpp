#include "metaserver/core/cluster/promised_members.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::metaserver::cluster {
namespace {

constexpr std::string_view kIds = "ids/";
constexpr std::string_view kPorts = "ports/";

template <typename Id>
std::string hexOf(const Id& id) {
  std::string text;
  for (const auto byte : id.bytes) text += fmt::format("{:02x}", byte);
  return text;
}

template <typename Id>
std::optional<Id> fromHex(std::string_view text) {
  Id id;
  if (text.size() != 2 * id.bytes.size()) return std::nullopt;
  for (auto& byte : id.bytes) {
    const auto [end, code] = std::from_chars(text.data(), text.data() + 2, byte, 16);
    if (code != std::errc{} || end != text.data() + 2) return std::nullopt;
    text.remove_prefix(2);
  }
  return id;
}

std::optional<JoinOrder> orderFrom(std::string_view text) {
  std::uint64_t order = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), order);
  const bool isWhole = code == std::errc{} && end == text.data() + text.size();
  if (!isWhole || order == 0 || order > limits::kJoinOrder) return std::nullopt;
  return JoinOrder{order};
}

std::string valueOf(const Remembered& member) {
  return fmt::format("{} {} {}", hexOf(member.key), number(member.order), member.endpoint.text());
}

std::optional<Remembered> memberFrom(std::string_view id, std::string_view value) {
  const auto first = value.find(' ');
  const auto second = first == std::string_view::npos ? first : value.find(' ', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  auto parsedId = PeerId::parse(id);
  const auto key = fromHex<InstanceKey>(value.substr(0, first));
  const auto order = orderFrom(value.substr(first + 1, second - first - 1));
  auto endpoint = Endpoint::parse(value.substr(second + 1));
  if (!parsedId || !key || !order || !endpoint) return std::nullopt;
  return Remembered{*std::move(parsedId), *key, *order, *std::move(endpoint)};
}

Error notOurs(std::string_view part) {
  return {ErrorCode::protocol,
          fmt::format("etcd's key {} was not written by a metaserver", escaped(part))};
}

}  // namespace

Result<void> readKey(std::string_view part, std::string_view value, EtcdDirectory& into) {
  if (part.starts_with(kIds)) {
    auto member = memberFrom(part.substr(kIds.size()), value);
    if (!member) return notOurs(part);
    if (into.members.size() >= limits::kMembers) {
      return Error{ErrorCode::protocol, "etcd has more members than a network may have"};
    }
    into.members.emplace(member->id, *std::move(member));
  } else if (part == "orders") {
    const auto order = orderFrom(value);
    if (!order) return notOurs(part);
    into.ordersUpTo = *order;
  } else if (part == "network") {
    into.network = fromHex<wire::NetworkId>(value);
    if (!into.network) return notOurs(part);
  } else if (!part.starts_with(kPorts)) {
    return notOurs(part);
  }
  return {};
}

PromisedMembers::PromisedMembers(std::string prefix, const EtcdDirectory& written)
    : prefix_(std::move(prefix)), byId_(written.members) {
  for (const auto& [id, member] : byId_) {
    byOrder_.emplace(member.order, id);
    ports_[member.endpoint].push_back(id);
    held_.insert(id);  // until their rows come
  }
}

void PromisedMembers::follow(const wire::Delta& delta, const IsHeld& isHeld,
                             Operations& operations) {
  for (const JoinOrder order : delta.gone) {
    const auto gone = byOrder_.find(order);
    if (gone == byOrder_.end()) continue;
    const PeerId id = gone->second;
    if (isHeld(id)) {
      held_.insert(id);
    } else {
      remove(id, operations);
    }
  }
  for (const auto& row : delta.rows) {
    const auto& [id, order, endpoint, instance] = row->contact;
    held_.erase(id);
    Remembered member{id, row->key, order, endpoint};
    const auto there = byId_.find(id);
    if (there != byId_.end()) {
      if (there->second == member) {
        if (ports_[endpoint].size() > 1) claimPort(member, operations);
        continue;
      }
      if (there->second.endpoint != endpoint) releasePort(there->second, operations);
      byOrder_.erase(there->second.order);
    }
    operations.push_back(etcd::Put{idKey(id), valueOf(member), etcd::kNoLease});
    claimPort(member, operations);
    byOrder_.insert_or_assign(order, id);
    byId_.insert_or_assign(id, std::move(member));
  }
}

void PromisedMembers::sweep(const IsHeld& isHeld, Operations& operations) {
  for (auto id = held_.begin(); id != held_.end();) {
    const PeerId one = *id++;
    if (!isHeld(one)) remove(one, operations);
  }
}

void PromisedMembers::remove(const PeerId& id, Operations& operations) {
  const auto member = byId_.find(id);
  held_.erase(id);
  if (member == byId_.end()) return;
  operations.push_back(etcd::Remove{idKey(id)});
  releasePort(member->second, operations);
  byOrder_.erase(member->second.order);
  byId_.erase(member);
}

void PromisedMembers::claimPort(const Remembered& member, Operations& operations) {
  auto& owners = ports_[member.endpoint];
  std::erase(owners, member.id);
  owners.push_back(member.id);
  operations.push_back(etcd::Put{portKey(member.endpoint), member.id.text(), etcd::kNoLease});
}

// Then it is of who had it before and may come back.
void PromisedMembers::releasePort(const Remembered& member, Operations& operations) {
  const auto port = ports_.find(member.endpoint);
  if (port == ports_.end()) return;
  auto& owners = port->second;
  const bool isLast = !owners.empty() && owners.back() == member.id;
  std::erase(owners, member.id);
  if (owners.empty()) {
    operations.push_back(etcd::Remove{portKey(member.endpoint)});
    ports_.erase(port);
  } else if (isLast) {
    operations.push_back(etcd::Put{portKey(member.endpoint), owners.back().text(), etcd::kNoLease});
  }
}

bool PromisedMembers::has(const wire::DirectoryRow& row) const {
  const auto& [id, order, endpoint, instance] = row.contact;
  const auto there = byId_.find(id);
  return there != byId_.end() && there->second == Remembered{id, row.key, order, endpoint};
}

etcd::Operation PromisedMembers::orders(JoinOrder upTo) const {
  return etcd::Put{prefix_ + "orders", std::to_string(number(upTo)), etcd::kNoLease};
}

etcd::Operation PromisedMembers::network(const wire::NetworkId& network) const {
  return etcd::Put{prefix_ + "network", hexOf(network), etcd::kNoLease};
}

}  // namespace espalier::metaserver::cluster
