#include "peer/core/open_requests.h"

#include <variant>

#include "common/base/limits.h"

namespace espalier::peer {

std::uint64_t OpenRequests::add(wire::RegistryRequest& request) {
  const auto number = [&](std::uint64_t& field, Kind kind) {
    auto& open = open_[kind];
    if (open.size() >= limits::kOpenRequests) open.erase(open.begin());
    open.insert(++last_);
    return field = last_;
  };
  if (auto* asked = std::get_if<wire::TopologyRequest>(&request)) {
    return number(asked->number, topology);
  }
  if (auto* asked = std::get_if<wire::MembersRequest>(&request)) {
    return number(asked->number, members);
  }
  if (auto* asked = std::get_if<wire::Links>(&request)) return number(asked->number, links);
  return 0;
}

bool OpenRequests::isAnswer(const wire::RegistryReply& reply) {
  return std::holds_alternative<wire::Topology>(reply) ||
         std::holds_alternative<wire::Members>(reply) ||
         std::holds_alternative<wire::Strangers>(reply);
}

std::optional<std::uint64_t> OpenRequests::take(const wire::RegistryReply& reply) {
  const auto of = [&](std::uint64_t number, Kind kind) -> std::optional<std::uint64_t> {
    auto& open = open_[kind];
    if (number != 0) repeatsNumbers_ = true;
    const bool isOldest = number == 0 && !repeatsNumbers_ && !open.empty();
    if (isOldest) number = *open.begin();
    if (open.erase(number) == 0) return std::nullopt;
    return number;
  };
  if (const auto* answer = std::get_if<wire::Topology>(&reply)) {
    return of(answer->number, topology);
  }
  if (const auto* answer = std::get_if<wire::Members>(&reply)) return of(answer->number, members);
  if (const auto* answer = std::get_if<wire::Strangers>(&reply)) {
    return answer->number == 0 ? std::nullopt : of(answer->number, links);
  }
  return std::nullopt;
}

void OpenRequests::clear() {
  for (auto& open : open_) open.clear();
  repeatsNumbers_ = false;
}

}  // namespace espalier::peer
