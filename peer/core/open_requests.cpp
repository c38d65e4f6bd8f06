#include "peer/core/open_requests.h"

#include <utility>
#include <variant>

#include "common/base/limits.h"

namespace espalier::peer {

std::uint64_t OpenRequests::add(wire::RegistryRequest& request) {
  const auto number = [&](std::uint64_t& field, Kind kind, Asked asked = {}) {
    auto& open = open_[kind];
    if (open.size() >= limits::kOpenRequests) open.erase(open.begin());
    open[++last_] = std::move(asked);
    return field = last_;
  };
  if (auto* asked = std::get_if<wire::TopologyRequest>(&request)) {
    return number(asked->number, topology, {asked->after, asked->id});
  }
  if (auto* asked = std::get_if<wire::MembersRequest>(&request)) {
    return number(asked->number, members);
  }
  if (auto* asked = std::get_if<wire::Links>(&request)) return number(asked->number, links);
  if (auto* rate = std::get_if<wire::Rate>(&request)) return addWhole(request, rate->number);
  if (auto* asked = std::get_if<wire::StatisticsRequest>(&request)) {
    return addWhole(request, asked->number);
  }
  if (auto* asked = std::get_if<wire::RoomListRequest>(&request)) {
    return addWhole(request, asked->number);
  }
  if (auto* asked = std::get_if<wire::RoomWhoRequest>(&request)) {
    return addWhole(request, asked->number);
  }
  return 0;
}

std::uint64_t OpenRequests::addWhole(wire::RegistryRequest& request, std::uint64_t& field) {
  if (whole_.size() >= limits::kOpenRequests) whole_.erase(whole_.begin());
  field = ++last_;
  whole_.emplace(last_, request);
  return last_;
}

template <typename Request>
std::optional<std::uint64_t> OpenRequests::takeWhole(std::uint64_t number) {
  const auto open = whole_.find(number);
  if (open == whole_.end() || !std::holds_alternative<Request>(open->second)) return std::nullopt;
  whole_.erase(open);
  return number;
}

bool OpenRequests::isAnswer(const wire::RegistryReply& reply) {
  return std::holds_alternative<wire::Topology>(reply) ||
         std::holds_alternative<wire::Members>(reply) ||
         std::holds_alternative<wire::Strangers>(reply) ||
         std::holds_alternative<wire::Rated>(reply) ||
         std::holds_alternative<wire::Statistics>(reply) ||
         std::holds_alternative<wire::RoomList>(reply) ||
         std::holds_alternative<wire::RoomWho>(reply);
}

std::optional<std::uint64_t> OpenRequests::take(const wire::RegistryReply& reply) {
  const auto of = [&](std::uint64_t number, Kind kind) -> std::optional<std::uint64_t> {
    auto& open = open_[kind];
    if (number != 0) repeatsNumbers_ = true;
    const bool isOldest = number == 0 && !repeatsNumbers_ && !open.empty();
    if (isOldest) number = open.begin()->first;
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
  if (const auto* rated = std::get_if<wire::Rated>(&reply)) {
    return takeWhole<wire::Rate>(rated->number);
  }
  if (const auto* statistics = std::get_if<wire::Statistics>(&reply)) {
    return takeWhole<wire::StatisticsRequest>(statistics->number);
  }
  if (const auto* rooms = std::get_if<wire::RoomList>(&reply)) {
    return takeWhole<wire::RoomListRequest>(rooms->number);
  }
  if (const auto* who = std::get_if<wire::RoomWho>(&reply)) {
    return takeWhole<wire::RoomWhoRequest>(who->number);
  }
  return std::nullopt;
}

std::vector<wire::RegistryRequest> OpenRequests::movedOn() {
  open_[links].clear();
  repeatsNumbers_ = false;
  std::vector<wire::RegistryRequest> again;
  again.reserve(open_[topology].size() + open_[members].size());
  for (const auto& [number, asked] : open_[topology]) {
    again.emplace_back(std::in_place_type<wire::TopologyRequest>,
                       wire::TopologyRequest{asked.after, number, asked.id});
  }
  for (const auto& [number, asked] : open_[members]) {
    again.emplace_back(std::in_place_type<wire::MembersRequest>, wire::MembersRequest{number});
  }
  for (const auto& [number, request] : whole_) again.push_back(request);
  return again;
}

void OpenRequests::clear() {
  for (auto& open : open_) open.clear();
  whole_.clear();
  repeatsNumbers_ = false;
}

}  // namespace espalier::peer
