// The part of Server about metaservers that cannot link: because of a name or number that is taken,
// or because their options differ; and about those of the last day.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "metaserver/shell/server.h"

namespace espalier::metaserver::shell {
namespace {

constexpr unsigned kNamesTried = 2 * limits::kMetaservers;  // m5000-2, m5000-3, …
constexpr unsigned kNumbersTried = 16;                      // each is free with 15 others in 65,535
constexpr std::size_t kSuffixBytes = 3;
constexpr std::size_t kSeenLineBytes = limits::kServerStateBytes;

std::chrono::seconds wallSeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::system_clock::now().time_since_epoch());
}

}  // namespace

ServerName Server::name() {
  return coordinator_.with([](auto& coordinator) { return coordinator->mesh().self().name; });
}

Result<void> Server::differsFrom(const wire::ServerState& other) {
  return coordinator_.with([&](auto& coordinator) { return coordinator->differsFrom(other); });
}

bool Server::givesWayTo(const wire::ServerState& other) {
  return coordinator_.with([&](auto& coordinator) { return coordinator->givesWayTo(other); });
}

Result<void> Server::giveWay(const Error& taken) {
  auto given = taken.code == ErrorCode::refused ? takeAnotherName(taken) : takeAnotherNumber(taken);
  if (!given) endIfRefused(given.error());
  return given;
}

Result<void> Server::takeAnotherName(const Error& taken) {
  const std::string before = name().text();
  const Error cannot{ErrorCode::configuration,
                     fmt::format("{}: choose another one with --name", taken.message)};
  if (!options_.given.name.empty() || engine_) return cannot;
  while (namesTried_ < kNamesTried) {
    const auto chosen = ServerName::parse(
        fmt::format("{}-{}", cutUtf8(options_.name.text(), limits::kPeerIdBytes - kSuffixBytes),
                    ++namesTried_ + 1));
    bool isRenamed = false;
    step([&](auto& coordinator, TimePoint, auto&) { isRenamed = coordinator.rename(*chosen); });
    if (!isRenamed) continue;
    log::info("{}: {} is {} now", taken.message, before, chosen->text());
    return {};
  }
  return cannot;
}

Result<void> Server::takeAnotherNumber(const Error& taken) {
  while (!engine_ && numbersTried_ < kNumbersTried) {
    ++numbersTried_;
    const auto before = std::exchange(kept_.number, storage::drawServerNumber());
    bool isRenumbered = false;
    step([&](auto& coordinator, TimePoint, auto& fx) {
      isRenumbered = coordinator.renumber(kept_.number, fx);
    });
    if (isRenumbered) {
      log::info("{}: {} has the number {} now", taken.message, name().text(), number(kept_.number));
      return {};
    }
    kept_.number = before;
  }
  return Error{ErrorCode::configuration,
               fmt::format("{}: stop this metaserver, and move {}/promises.db away", taken.message,
                           escaped(options_.state))};
}

void Server::namedAnswered(const Endpoint& address, const Result<void>& answer) {
  const auto waiter = linkWaiters_.extract(address);
  if (!waiter.empty()) waiter.mapped()->set_value(answer);
  const auto& named = options_.cluster;
  if (std::find(named.begin(), named.end(), address) != named.end()) {
    if (namedLeft_ > 0) --namedLeft_;
    if (answer) {
      isNamedLinked_ = true;
    } else if (answer.error().code == ErrorCode::configuration) {
      refusal_ = answer.error();
    }
    if (namedLeft_ == 0 && refusal_ && !isNamedLinked_) endIfRefused(*refusal_);
    if (whyEnded_) return;  // it must not found a network now
  }
  step([](auto& coordinator, TimePoint now, auto& fx) { coordinator.namedAnswered(now, fx); });
}

// A metaserver that was to be part of a cluster, and cannot be, must not begin a network beside it.
// One that has a network goes on, and the log tells why it is not linked.
void Server::endIfRefused(const Error& why) {
  const bool isPart = coordinator_.with([](auto& coordinator) {
    return coordinator->isFounded() || !coordinator->mesh().links().empty();
  });
  if (options_.cluster.empty() || isPart || whyEnded_) return;
  whyEnded_ = why;
  loop_.stop();
}

// --- metaservers of the last day ---

// Those of before are dialled as if they were named.
Result<void> Server::openSeen() {
  if (::access(seenPath().c_str(), F_OK) != 0) return {};
  auto text = readFile(seenPath(), limits::kServerAddresses * kSeenLineBytes);
  if (!text) {
    log::warning("{}: the metaservers of before are not dialled", text.error().message);
    return {};
  }
  std::vector<SeenServer> all;
  const auto read = seen_.with([&](SeenServers& seen) {
    auto parsed = seen.parse(seenPath(), *text);
    seen.age(wallSeconds());
    all = seen.all();
    return parsed;
  });
  if (!read) return read;
  for (const auto& one : all) {
    if (one.address != address()) links_->add(one.address, true);
  }
  return {};
}

void Server::noteSeen() {
  const auto rows = coordinator_.with([](auto& coordinator) { return coordinator->servers(); });
  const bool isChanged = seen_.with([&](SeenServers& seen) {
    for (const auto& row : rows) {
      if (row.isSelf) continue;
      seen.see({wallSeconds(), row.state.started, row.state.address, row.state.name});
    }
    seen.age(wallSeconds());
    return seen.isChanged();
  });
  if (isChanged) writer_->wake();
}

// A metaserver that is dead, or has not started yet, needs its port when it starts: until it is
// forgotten no peer gets it.
void Server::keepPortsFree() {
  std::vector<Endpoint> expected = links_->addresses();
  for (const auto& one : seen_.with([](const SeenServers& seen) { return seen.all(); })) {
    if (!links_->knows(one.address)) expected.push_back(one.address);
  }
  if (expected == expected_) return;
  expected_ = expected;
  step([&](auto& coordinator, TimePoint, auto&) { coordinator.setExpected(std::move(expected)); });
}

}  // namespace espalier::metaserver::shell
