// The part of Server that counts sessions and answers statistics: what its SessionKeeper needs.
#include <algorithm>
#include <future>
#include <memory>
#include <utility>

#include "common/base/limits.h"
#include "metaserver/shell/server.h"

namespace espalier::metaserver::shell {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = limits::kStatisticsWait + 10s;  // for the loop's thread, too
constexpr auto kPoll = 20ms;

}  // namespace

Result<void> Server::openKeeper() {
  SessionKeeper::Host host;
  host.hasMember = [this](JoinOrder order, std::chrono::milliseconds since) {
    return coordinator_.with(
        [&](auto& coordinator) { return coordinator->hasMember(order, since); });
  };
  host.name = [this] { return name(); };
  host.others = [this] {
    std::vector<SessionKeeper::Other> others;
    const auto rows = coordinator_.with([](auto& coordinator) { return coordinator->servers(); });
    for (const auto& row : rows) {
      if (!row.isSelf) others.push_back({row.state.number, row.state.name, row.state.started});
    }
    return others;
  };
  host.dead = [this] {
    std::vector<ServerName> dead;
    const auto all = servers();
    if (!all) return dead;
    for (const auto& server : *all) {
      if (server.isDead) dead.push_back(server.name);
    }
    return dead;
  };
  host.tell = [this](ServerNumber to, const wire::ClusterMessage& message) {
    step([&](auto& coordinator, TimePoint, auto& fx) { coordinator.tell(to, message, fx); });
  };
  keeper_ = std::make_unique<SessionKeeper>(options_.state + "/storage.db", std::move(host));
  return keeper_->open();
}

void Server::statisticsCame(
    ServerNumber from, const std::variant<wire::StatisticsRequest, wire::Statistics>& message) {
  if (const auto* request = std::get_if<wire::StatisticsRequest>(&message)) {
    keeper_->asked(from, *request);
  } else {
    keeper_->answered(from, std::get<wire::Statistics>(message));
  }
}

void Server::statisticsAsked(const StatisticsAsked& asked) {
  keeper_->ask(asked.request.days,
               [this, to = asked.from, number = asked.request.number](wire::Statistics sum) {
                 sum.number = number;
                 Send reply{to, std::move(sum)};
                 send(reply);
               });
}

Result<wire::Statistics> Server::statistics(std::size_t days, std::stop_token stop) {
  const auto promise = std::make_shared<std::promise<wire::Statistics>>();
  auto answer = promise->get_future();
  loop_.post([this, promise, days] {
    keeper_->ask(days, [promise](const wire::Statistics& sum) { promise->set_value(sum); });
  });
  const TimePoint until = Clock::now() + kPatience;
  while (answer.wait_for(kPoll) != std::future_status::ready) {
    if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    if (Clock::now() > until) return Error{ErrorCode::timeout, "the metaserver is too busy"};
  }
  try {
    return answer.get();
  } catch (const std::future_error&) {  // the question was dropped
    return Error{ErrorCode::unavailable, "the metaserver is stopping"};
  }
}

}  // namespace espalier::metaserver::shell
