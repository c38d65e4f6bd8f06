// The part of Network that keeps queues short, and hands out the metaserver's answers.
#include "common/base/limits.h"
#include "peer/shell/network.h"

namespace espalier::peer::shell {

// --- full queues ---

void Network::pauseLinks(ConnectionId except) {
  for (const auto& [id, state] : states_) {
    if (state.kind != Kind::link || id == except) continue;
    if (auto* connection = loop_.find(id)) connection->pauseReading();
  }
}

void Network::resumeLinks() {
  for (const auto& [id, state] : states_) {
    if (auto* connection = loop_.find(id)) connection->resumeReading();
  }
}

void Network::Control::onDrained(net::FramedConnection& connection) {
  network_.executor_.drained(connection.id());
}

// --- the metaserver's answers ---

void Network::ask(wire::RegistryRequest request, Answer answer, TimePoint now, Effects& fx) {
  const bool topology = std::holds_alternative<wire::TopologyRequest>(request);
  auto& answers = topology ? topologyAnswers_ : membersAnswers_;
  if (answers.size() >= limits::kPendingAnswers) {
    return answer(Error{ErrorCode::unavailable, "the metaserver does not answer"});
  }
  if (!peer_.ask(std::move(request), now, fx)) {
    return answer(Error{ErrorCode::unavailable, "the metaserver is out of reach"});
  }
  answers.push_back(std::move(answer));
}

void Network::answered(const wire::RegistryReply& reply) {
  auto* answers = std::holds_alternative<wire::Topology>(reply)  ? &topologyAnswers_
                  : std::holds_alternative<wire::Members>(reply) ? &membersAnswers_
                                                                 : nullptr;
  if (answers == nullptr || answers->empty()) return;
  const Answer answer = std::move(answers->front());
  answers->pop_front();
  answer(reply);
}

void Network::failAnswers(const Error& error) {
  for (auto* answers : {&topologyAnswers_, &membersAnswers_}) {
    auto failed = std::move(*answers);
    answers->clear();
    for (const auto& answer : failed) answer(error);
  }
}

}  // namespace espalier::peer::shell
