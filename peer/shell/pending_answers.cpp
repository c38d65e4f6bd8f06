#include "peer/shell/pending_answers.h"

#include <utility>
#include <variant>

#include "common/base/limits.h"

namespace espalier::peer::shell {

PendingAnswers::Kind PendingAnswers::kindOf(const wire::RegistryRequest& request) {
  return std::holds_alternative<wire::TopologyRequest>(request) ? topology : members;
}

bool PendingAnswers::hasRoomFor(const wire::RegistryRequest& request) const {
  return waiting_[kindOf(request)].size() < limits::kPendingAnswers;
}

void PendingAnswers::add(const wire::RegistryRequest& request, Answer answer) {
  waiting_[kindOf(request)].push_back(std::move(answer));
}

void PendingAnswers::answer(const wire::RegistryReply& reply) {
  const bool isTopology = std::holds_alternative<wire::Topology>(reply);
  if (!isTopology && !std::holds_alternative<wire::Members>(reply)) return;
  auto& waiting = waiting_[isTopology ? topology : members];
  if (waiting.empty()) return;
  const Answer first = std::move(waiting.front());
  waiting.pop_front();
  first(reply);
}

void PendingAnswers::failAll(const Error& error) {
  for (auto& waiting : waiting_) {
    for (const auto& answer : std::exchange(waiting, {})) answer(error);
  }
}

}  // namespace espalier::peer::shell
