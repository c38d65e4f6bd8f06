#include "peer/shell/pending_answers.h"

#include <utility>
#include <variant>

#include "common/base/limits.h"

namespace espalier::peer::shell {

PendingAnswers::Kind PendingAnswers::kindOf(const wire::RegistryRequest& request) {
  if (std::holds_alternative<wire::TopologyRequest>(request)) return topology;
  if (std::holds_alternative<wire::Rate>(request)) return ratings;
  if (std::holds_alternative<wire::RoomListRequest>(request) ||
      std::holds_alternative<wire::RoomWhoRequest>(request)) {
    return rooms;
  }
  return std::holds_alternative<wire::StatisticsRequest>(request) ? statistics : members;
}

bool PendingAnswers::hasRoomFor(const wire::RegistryRequest& request) const {
  return counts_[kindOf(request)] < limits::kPendingAnswers;
}

void PendingAnswers::add(std::uint64_t number, const wire::RegistryRequest& request,
                         Answer answer) {
  if (waiting_.emplace(number, Waiting{request, std::move(answer)}).second) {
    ++counts_[kindOf(request)];
  }
}

bool PendingAnswers::fits(const wire::RegistryRequest& request, const wire::RegistryReply& reply) {
  if (std::holds_alternative<wire::Rate>(request))
    return std::holds_alternative<wire::Rated>(reply);
  if (std::holds_alternative<wire::StatisticsRequest>(request)) {
    return std::holds_alternative<wire::Statistics>(reply);
  }
  if (const auto* asked = std::get_if<wire::RoomListRequest>(&request)) {
    const auto* list = std::get_if<wire::RoomList>(&reply);
    return list != nullptr && (list->rooms.empty() || list->rooms.front().room > asked->after);
  }
  if (const auto* asked = std::get_if<wire::RoomWhoRequest>(&request)) {
    const auto* who = std::get_if<wire::RoomWho>(&reply);
    return who != nullptr && (who->members.empty() || who->members.front().id > asked->after);
  }
  const auto* asked = std::get_if<wire::TopologyRequest>(&request);
  if (asked == nullptr) return std::holds_alternative<wire::Members>(reply);
  const auto* page = std::get_if<wire::Topology>(&reply);
  if (page == nullptr) return false;
  JoinOrder after = asked->after;
  for (const auto& entry : page->entries) {
    if (entry.member.order <= after) return false;
    after = entry.member.order;
  }
  return true;
}

void PendingAnswers::answer(std::uint64_t number, const wire::RegistryReply& reply) {
  const auto found = waiting_.find(number);
  if (found == waiting_.end()) return;
  const Waiting waiting = std::move(found->second);
  waiting_.erase(found);
  --counts_[kindOf(waiting.request)];
  if (fits(waiting.request, reply)) return waiting.answer(reply);
  waiting.answer(Error{ErrorCode::protocol, "the metaserver answers what it was not asked"});
}

void PendingAnswers::failAll(const Error& error) {
  counts_ = {};
  for (const auto& [number, waiting] : std::exchange(waiting_, {})) waiting.answer(error);
}

}  // namespace espalier::peer::shell
