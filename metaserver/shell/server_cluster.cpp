// The part of Server that answers the commands about several metaservers.
#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "metaserver/shell/server.h"

namespace espalier::metaserver::shell {
namespace {

using namespace std::chrono_literals;
using Coordinator = cluster::Coordinator;

constexpr auto kLoopPatience = 10s;     // for the loop's thread
constexpr auto kAppointPatience = 10s;  // for a change of masters
constexpr auto kAppointAgain = 500ms;
constexpr auto kPoll = 20ms;
constexpr auto kOldAddressKept = 500ms;  // after the last peer was told of the new one
static_assert(kOldAddressKept < limits::kMigrateEveryLeast);
constexpr unsigned kPortsMoved = 100;  // of --migrate-every, with the first one

WallTime wallTimeOf(std::chrono::milliseconds since1970) {
  return WallTime(std::chrono::duration_cast<WallTime::duration>(since1970));
}

// As users see them: the oldest first.
bool isBefore(const Coordinator::ServerRow& a, const Coordinator::ServerRow& b) {
  return std::tie(a.state.started, a.state.name) < std::tie(b.state.started, b.state.name);
}

Error notPart(const ServerName& name) {
  return {ErrorCode::failed,
          fmt::format("{} is no metaserver of this cluster", escaped(name.text()))};
}

}  // namespace

// Runs `function` on the loop's thread, and waits for its result.
template <typename Value>
Result<Value> Server::onLoop(std::function<Result<Value>()> function) {
  const auto promise = std::make_shared<std::promise<Result<Value>>>();
  auto result = promise->get_future();
  loop_.post([promise, function = std::move(function)] { promise->set_value(function()); });
  if (result.wait_for(kLoopPatience) != std::future_status::ready) {
    return Error{ErrorCode::timeout, "the metaserver is too busy"};
  }
  try {
    return result.get();
  } catch (const std::future_error&) {  // the function was dropped
    return Error{ErrorCode::unavailable, "the metaserver is stopping"};
  }
}

Result<SelfInfo> Server::self() {
  return SelfInfo{name(), wallTimeOf(startedAt_), Clock::now() - started_};
}

Result<MasterInfo> Server::master() {
  const auto standing =
      coordinator_.with([](auto& coordinator) { return coordinator->standing(Clock::now()); });
  MasterInfo info;
  info.self = name();
  info.master = standing.master;
  info.endpoint = standing.masterAddress;
  info.epoch = standing.epoch.counter;
  info.rule = options_.election.rule;
  info.isAppointed = standing.isAppointed;
  info.engine = options_.coordination.engine();
  if (!standing.master.empty()) return info;
  if (standing.stall) {
    info.whyNone = fmt::format("{} was the master until it stood still for {}, and asks the others",
                               info.self.text(), formatDuration(*standing.stall));
    return info;
  }
  info.whyNone = trouble_.with([](const std::string& trouble) { return trouble; });
  const bool isElecting = !standing.isAlone || !options_.coordination.isBuiltIn();
  if (info.whyNone.empty() && isElecting) info.whyNone = "an election is under way";
  return info;
}

Result<MasterInfo> Server::appointMaster(const ServerName& name, std::stop_token stop) {
  const auto appoint = [this, name] {
    return onLoop<bool>([this, name]() -> Result<bool> {
      Result<void> done;
      step([&](Coordinator& coordinator, TimePoint now, auto& fx) {
        done = coordinator.appoint(name, now, fx);
      });
      if (!done) return done.error();
      return true;
    });
  };
  const auto begun = appoint();
  if (!begun) return begun.error();
  const auto until = Clock::now() + kAppointPatience;
  for (auto again = Clock::now() + kAppointAgain; Clock::now() < until;) {
    if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    auto info = master();
    if (info && info->master == name) return info;
    if (Clock::now() >= again) {  // the message is lost if the two do not reach each other yet
      again = Clock::now() + kAppointAgain;
      (void)appoint();
    }
    std::this_thread::sleep_for(kPoll);
  }
  return Error{ErrorCode::timeout, fmt::format("{} did not become the master", name.text())};
}

Result<std::vector<ServerInfo>> Server::servers() {
  auto rows = coordinator_.with([](auto& coordinator) { return coordinator->servers(); });
  std::sort(rows.begin(), rows.end(), isBefore);
  std::vector<ServerInfo> infos;
  for (const auto& row : rows) {
    ServerInfo info;
    info.name = row.state.name;
    info.endpoint = row.state.address;
    info.isMaster = row.isMaster;
    info.isSelf = row.isSelf;
    info.drains = row.state.drains;
    info.peers = row.state.peers;
    info.started = wallTimeOf(row.state.started);
    info.behind = row.behind;
    info.version = row.state.version;
    infos.push_back(std::move(info));
  }
  const auto seen = seen_.with([](const SeenServers& all) { return all.all(); });
  for (const auto& one : seen) {
    const bool lives = std::any_of(rows.begin(), rows.end(), [&](const auto& row) {
      return row.state.name == one.name || row.state.address == one.address;
    });
    if (lives) continue;
    ServerInfo info;
    info.name = one.name;
    info.endpoint = one.address;
    info.started = wallTimeOf(one.started);
    info.isDead = true;
    infos.push_back(std::move(info));
  }
  return infos;
}

Result<std::vector<LinkInfo>> Server::links() {
  auto rows = coordinator_.with([](auto& coordinator) { return coordinator->servers(); });
  std::sort(rows.begin(), rows.end(), isBefore);
  std::vector<LinkInfo> links;
  for (const auto& row : rows) {
    if (row.hops == 1) links.push_back({row.state.name, row.state.address, row.isMaster, true});
  }
  return links;
}

// The first original counts its ports for metaservers one above those for peers.
Result<std::string> Server::link(const Endpoint& other, std::stop_token stop) {
  if (other == address()) return Error{ErrorCode::usage, "this is the address of this metaserver"};
  auto linked = linkAt(other, stop);
  if (linked) return linked;
  const ErrorCode code = linked.error().code;
  const Endpoint below{other.host, static_cast<std::uint16_t>(other.port - 1)};
  const bool isNone = code == ErrorCode::unavailable || code == ErrorCode::protocol;
  if (isNone && below.port != 0 && below != address()) {
    if (auto there = linkAt(below, stop)) return there;
  }
  return linked;
}

// A failure ends the dialling of that address.
Result<std::string> Server::linkAt(const Endpoint& other, std::stop_token stop) {
  const auto wasKnown =
      onLoop<bool>([this, other]() -> Result<bool> { return links_->knows(other); });
  if (!wasKnown) return wasKnown.error();
  auto linked = linkAndWait(other, stop);
  if (linked) return linked;
  (void)onLoop<bool>([this, other, isNew = !*wasKnown]() -> Result<bool> {
    linkWaiters_.erase(other);
    if (isNew) links_->remove(other);
    return true;
  });
  return linked;
}

Result<std::string> Server::linkAndWait(const Endpoint& other, std::stop_token stop) {
  const auto answer = std::make_shared<std::promise<Result<void>>>();
  auto answered = answer->get_future();
  const auto begun = onLoop<bool>([this, other, answer]() -> Result<bool> {
    if (!links_->add(other, true)) {
      return Error{ErrorCode::refused, "too many addresses of metaservers are known"};
    }
    linkWaiters_[other] = answer;
    return true;
  });
  if (!begun) return begun.error();
  while (answered.wait_for(kPoll) != std::future_status::ready) {
    if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
  }
  const auto linked = answered.get();
  if (!linked) return linked.error();
  // The other end may refuse the link still: it knows who else is in the cluster.
  for (const auto until = Clock::now() + kLoopPatience; Clock::now() < until;) {
    if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    const auto number =
        onLoop<std::optional<ServerNumber>>([this, other]() -> Result<std::optional<ServerNumber>> {
          if (const auto problem = links_->problemOf(other); !problem.empty()) {
            return Error{ErrorCode::configuration, problem};
          }
          return links_->leadsTo(other);
        });
    if (!number) return number.error();
    const auto rows = coordinator_.with([](auto& coordinator) { return coordinator->servers(); });
    const auto there = std::find_if(rows.begin(), rows.end(), [&](const auto& row) {
      return !row.isSelf && row.state.number == *number;
    });
    if (there != rows.end()) {
      return fmt::format("linked to {} on {}, a cluster of {}", there->state.name.text(),
                         there->state.address.text(), counted(rows.size(), "metaserver"));
    }
    std::this_thread::sleep_for(kPoll);
  }
  return Error{ErrorCode::timeout, fmt::format("{} has answered, but is silent", other.text())};
}

Result<std::string> Server::drain(bool force, std::stop_token stop) {
  if (options_.instances > 0 && !force) {
    return Error{ErrorCode::refused,
                 fmt::format("{} is the entry of {}, which end with it", name().text(),
                             counted(options_.instances, "metaserver"))};
  }
  const auto peers =
      coordinator_.with([](auto& coordinator) { return coordinator->sessionCount(); });
  const auto begun = onLoop<bool>([this, force]() -> Result<bool> {
    Result<void> done;
    step([&](Coordinator& coordinator, TimePoint now, auto& fx) {
      done = coordinator.drain(force, now, fx);
    });
    if (!done) return done.error();
    return true;
  });
  if (!begun) return begun.error();
  while (!isDrained_) {  // it ends at last, whoever waits
    if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    std::this_thread::sleep_for(kPoll);
  }
  const auto left =
      coordinator_.with([](auto& coordinator) { return coordinator->sessionCount(); });
  std::string text = fmt::format("{} has handed on {} and ends", name().text(),
                                 counted(peers - std::min(peers, left), "peer"));
  if (left > 0) text += fmt::format("; {} did not go", left);
  return text;
}

Result<std::string> Server::forget(const ServerName& name) {
  const auto rows = coordinator_.with([](auto& coordinator) { return coordinator->servers(); });
  const bool lives = std::any_of(rows.begin(), rows.end(),
                                 [&](const auto& row) { return row.state.name == name; });
  if (lives) {
    return Error{ErrorCode::refused, fmt::format("{} is linked: drain it first", name.text())};
  }
  const auto forgotten = seen_.with([&](SeenServers& seen) { return seen.forget(name); });
  if (!forgotten) {
    return Error{ErrorCode::failed, fmt::format("no dead metaserver {} is known", name.text())};
  }
  writer_->wake();
  const auto freed =
      onLoop<std::size_t>([this, name, address = forgotten->address]() -> Result<std::size_t> {
        const auto& named = options_.cluster;
        if (std::find(named.begin(), named.end(), address) == named.end()) links_->remove(address);
        std::size_t ids = 0;
        step([&](Coordinator& coordinator, TimePoint now, auto&) {
          ids = coordinator.forget(name, now);
        });
        return ids;
      });
  if (!freed) return freed.error();
  std::string text = escaped(name.text()) + " is forgotten";
  if (*freed > 0) text += fmt::format("; the ids of {} are free", counted(*freed, "lost peer"));
  return text;
}

Result<std::string> Server::migrate(const Endpoint& to, std::stop_token stop) {
  const Endpoint from = address();
  const auto begun = onLoop<bool>([this, to]() -> Result<bool> {
    if (auto moved = moveTo(to); !moved) return moved.error();
    return true;
  });
  if (!begun) return begun.error();
  while (isMoving_) {
    if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    std::this_thread::sleep_for(kPoll);
  }
  return fmt::format("moved from {} to {}", from.text(), to.text());
}

// Listens there, too, and hands the peers over. The old listener is closed when they have gone.
Result<void> Server::moveTo(const Endpoint& to) {
  if (oldListener_) return Error{ErrorCode::refused, "a move is under way"};
  auto listener = net::Listener::open(loop_, to, *this);
  if (!listener) return listener.error();
  oldListener_ = std::exchange(listener_, *std::move(listener));
  // Who moves again and again has finished before the next time.
  Duration spread = limits::kMovingSpread;
  if (options_.migrateEvery > 0ms) {
    spread = std::min<Duration>(spread, (options_.migrateEvery - kOldAddressKept) / 2);
  }
  closeOldAt_ = Clock::now() + spread + kOldAddressKept;
  isMoving_ = true;
  address_.with([&](Endpoint& address) { address = listener_->localAddress(); });
  step([&](Coordinator& coordinator, TimePoint now, auto& fx) {
    coordinator.moved(listener_->localAddress(), now, fx, spread);
  });
  return {};
}

void Server::endMove(TimePoint now) {
  if (!oldListener_ || now < closeOldAt_) return;
  oldListener_.reset();
  isMoving_ = false;
  closeOldAt_ = kNever;
  log::info("metaserver on {} now", address().text());
}

// To the next port that can be bound, and from the last one to the first. Who has no peers stays
// where it is (003).
void Server::moveOn(TimePoint now) {
  moveOnAt_ = now + options_.migrateEvery;
  const auto peers =
      coordinator_.with([](auto& coordinator) { return coordinator->sessionCount(); });
  if (peers == 0 || oldListener_ || isDrained_) return;
  const Endpoint from = address();
  const unsigned first = firstAddress_.port;
  const unsigned ports = std::min(kPortsMoved, 0x1'0000 - first);
  // After `migrate` the port may be elsewhere: then the first one is next.
  const bool isAmong = from.port >= first && from.port < first + ports;
  const unsigned at = isAmong ? from.port - first : ports - 1;
  Result<void> moved = Error{ErrorCode::unavailable, "there is no other port"};
  for (unsigned i = 1; i <= ports; ++i) {
    const auto port = static_cast<std::uint16_t>(first + (at + i) % ports);
    if (port == from.port) continue;
    moved = moveTo({from.host, port});
    if (moved) return log::info("moving from {} to {}", from.text(), address().text());
  }
  log::warning("this metaserver stays on {}: {}", from.text(), moved.error().message);
}

Result<ServerKillPlan> Server::whatIfServerKilled(const ServerName& name) {
  const auto rows = coordinator_.with([](auto& coordinator) { return coordinator->servers(); });
  const auto dead = std::find_if(rows.begin(), rows.end(),
                                 [&](const auto& row) { return row.state.name == name; });
  if (dead == rows.end()) return notPart(name);
  ServerKillPlan plan;
  plan.wasMaster = dead->isMaster;
  plan.wasLast = rows.size() == 1;
  if (plan.wasLast) {
    plan.homeless = dead->state.peers;
    return plan;
  }
  auto next =
      coordinator_.with([&](auto& coordinator) { return coordinator->masterWithout(name); });
  if (!next) return next.error();
  plan.master = *std::move(next);
  // Its peers spread over the metaservers that they were told of, and are handed on by those that
  // have no room. The fullest take theirs first, so that the others take what is left.
  std::vector<const Coordinator::ServerRow*> homes;
  for (const auto& row : rows) {
    if (row.state.name != name) homes.push_back(&row);
  }
  std::ranges::stable_sort(homes, {}, [](const auto* row) { return row->state.room; });
  std::map<ServerName, std::uint64_t> shares;
  std::uint64_t left = dead->state.peers;
  for (std::size_t at = 0; at < homes.size(); ++at) {
    const auto& home = homes[at]->state;
    const auto share = std::min<std::uint64_t>(left / (homes.size() - at), home.room);
    left -= share;
    shares[home.name] = share;
  }
  plan.homeless = left;
  for (const auto& row : rows) {
    const auto share = shares.find(row.state.name);
    if (share != shares.end() && share->second > 0) {
      plan.moves.push_back({share->first, share->second});
    }
  }
  return plan;
}

}  // namespace espalier::metaserver::shell
