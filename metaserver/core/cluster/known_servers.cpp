#include "metaserver/core/cluster/known_servers.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>
#include <tuple>
#include <utility>

namespace espalier::metaserver::cluster {

bool isNewer(const wire::ServerState& a, const wire::ServerState& b) {
  return std::tie(a.started, a.sequence) > std::tie(b.started, b.sequence);
}

bool isSameRun(const wire::ServerState& a, const wire::ServerState& b) {
  return a.number == b.number && a.name == b.name && a.started == b.started;
}

bool isSound(const wire::ServerState& state) {
  const auto& heard = state.heard;
  return !state.name.empty() && state.number != kNoServer && isHost(state.address.host) &&
         state.address.port != 0 && state.started.count() >= 0 &&
         state.sequence < limits::kSequenceNumbers && state.priority <= limits::kServerPriority &&
         state.peers <= limits::kMembers && state.room <= limits::kMembers &&
         state.epoch.counter <= limits::kEpochCounter && heard.size() < limits::kMetaservers &&
         (heard.empty() || heard.front() != kNoServer) &&
         std::adjacent_find(heard.begin(), heard.end(), std::greater_equal<>()) == heard.end();
}

bool KnownServers::setIdentity(const ServerName& name, ServerNumber number) {
  for (const auto& [itsNumber, server] : servers_) {
    if (itsNumber == number || server.state.name == name) return false;
  }
  self_.name = name;
  self_.number = number;
  return true;
}

std::optional<Refusal> KnownServers::whyRefused(const wire::ServerState& state,
                                                Duration now) const {
  if (!isSound(state)) {
    return Refusal{CloseReason::malformed, "a state that no metaserver can have"};
  }
  if (isSameRun(state, self_)) {
    return Refusal{CloseReason::itself, "this is the metaserver itself"};
  }
  const auto nameTaken = [&](const wire::ServerState& by) {
    return Refusal{CloseReason::nameTaken, fmt::format("the name {} is taken by the one on {}",
                                                       state.name.text(), by.address.text())};
  };
  const auto numberTaken = [&](const wire::ServerState& by) {
    return Refusal{CloseReason::numberTaken,
                   fmt::format("the number {} is taken by {} on {}", number(state.number),
                               by.name.text(), by.address.text())};
  };
  if (state.name == self_.name) return nameTaken(self_);
  if (state.number == self_.number) return numberTaken(self_);
  for (const auto& [itsNumber, server] : servers_) {
    const bool sameNumber = itsNumber == state.number;
    const bool sameName = server.state.name == state.name;
    if (sameNumber == sameName || !server.lives(now)) continue;
    return sameNumber ? numberTaken(server.state) : nameTaken(server.state);
  }
  return std::nullopt;
}

std::optional<Refusal> KnownServers::whyNotLinked(const wire::ServerState& state,
                                                  Duration now) const {
  if (auto refusal = whyRefused(state, now)) return refusal;
  const KnownServer* known = find(state.number);
  if (!known || known->connections.empty()) {
    const auto linked = std::count_if(servers_.begin(), servers_.end(), [](const auto& one) {
      return !one.second.connections.empty();
    });
    if (static_cast<std::size_t>(linked) < limits::kMetaservers - 1) return std::nullopt;
    return Refusal{CloseReason::full,
                   fmt::format("{} metaservers are linked already", limits::kMetaservers)};
  }
  const bool isOldRun = state.started < known->state.started && known->isHeard(now);
  const bool isOneMore =
      isSameRun(state, known->state) && known->connections.size() >= limits::kMeshConnections;
  if (!isOldRun && !isOneMore) return std::nullopt;
  return Refusal{CloseReason::second,
                 fmt::format("{} is linked already", known->state.name.text())};
}

KnownServer& KnownServers::enter(const wire::ServerState& state, std::vector<ConnectionId>& ended) {
  removeAlike(state, ended);
  if (!find(state.number) && servers_.size() >= kKnownAtOnce) removeOldestStranger();
  return servers_[state.number];
}

KnownServer* KnownServers::enterStranger(const wire::ServerState& state, Duration now,
                                         std::vector<ConnectionId>& ended) {
  KnownServer* known = find(state.number);
  if (known && known->state.name == state.name) return known;
  for (const auto& [itsNumber, server] : servers_) {
    const bool isAlike = itsNumber == state.number || server.state.name == state.name;
    if (isAlike && server.isFresh(now)) return nullptr;
  }
  removeAlike(state, ended);
  const auto strangers = std::count_if(servers_.begin(), servers_.end(),
                                       [](const auto& one) { return one.second.isStranger(); });
  if (static_cast<std::size_t>(strangers) >= limits::kMeshStrangers) return nullptr;
  if (servers_.size() >= kKnownAtOnce) return nullptr;
  return &servers_[state.number];
}

// Those that have the name or the number, but not both. None of them lives.
void KnownServers::removeAlike(const wire::ServerState& state, std::vector<ConnectionId>& ended) {
  for (auto at = servers_.begin(); at != servers_.end();) {
    const bool sameNumber = at->first == state.number;
    const bool sameName = at->second.state.name == state.name;
    if (sameNumber == sameName) {
      ++at;
      continue;
    }
    const auto connections = at->second.connections.takeAll();
    ended.insert(ended.end(), connections.begin(), connections.end());
    at = servers_.erase(at);
  }
}

// There is one if kKnownAtOnce are known, because fewer are reached or connected.
void KnownServers::removeOldestStranger() {
  auto oldest = servers_.end();
  for (auto at = servers_.begin(); at != servers_.end(); ++at) {
    if (!at->second.isStranger()) continue;
    if (oldest == servers_.end() || at->second.newsAt < oldest->second.newsAt) oldest = at;
  }
  if (oldest != servers_.end()) servers_.erase(oldest);
}

void KnownServers::forget(Duration now) {
  std::erase_if(servers_, [&](const auto& one) {
    return one.second.isStranger() && now - one.second.newsAt >= limits::kMeshForget;
  });
}

KnownServer* KnownServers::find(ServerNumber number) {
  const auto at = servers_.find(number);
  return at == servers_.end() ? nullptr : &at->second;
}

const KnownServer* KnownServers::find(ServerNumber number) const {
  const auto at = servers_.find(number);
  return at == servers_.end() ? nullptr : &at->second;
}

Result<void> KnownServers::check() const {
  const auto wrong = [](std::string what) { return Error{ErrorCode::failed, std::move(what)}; };
  std::size_t linked = 0;
  std::size_t reached = 0;
  std::set<ServerName> names{self_.name};
  for (const auto& [itsNumber, server] : servers_) {
    linked += server.connections.empty() ? 0 : 1;
    reached += server.way.hops > 0 ? 1 : 0;
    if (server.state.number != itsNumber) return wrong("an entry under another number");
    if (itsNumber == self_.number) return wrong("an entry of the metaserver itself");
    if (!names.insert(server.state.name).second) return wrong("a name twice");
    if (server.connections.size() > limits::kMeshConnections) {
      return wrong("too many connections to " + server.state.name.text());
    }
    if (server.way.hops == 0) continue;
    const KnownServer* next = find(server.way.next);
    if (!next || next->way.hops != 1) return wrong("a way over a link that is down");
  }
  if (linked >= limits::kMetaservers) return wrong("too many are connected");
  if (reached >= limits::kMetaservers) return wrong("too many are reached");
  if (servers_.size() > kKnownAtOnce) return wrong("too many are known");
  return {};
}

}  // namespace espalier::metaserver::cluster
