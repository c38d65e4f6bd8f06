// The part of Coordinator that hands peers on: newcomers at an entry or at a full metaserver, and
// the peers of one that ends or moves to another address.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "metaserver/core/cluster/coordinator.h"

namespace espalier::metaserver::cluster {
namespace {

using namespace std::chrono_literals;

constexpr auto kMoveStep = 50ms;
constexpr std::uint64_t kArrivalStates = 4;  // of its new home, until a peer is counted there

}  // namespace

// How many more peers this metaserver takes.
std::uint32_t Coordinator::room() const {
  if (drains_ || home_.size() >= options_.peersMost) return 0;
  return static_cast<std::uint32_t>(options_.peersMost - home_.size());
}

// Where else a peer can go; counts the peers. Those that were handed on a moment ago are not in the
// states yet: without them all newcomers of half a second would go to one metaserver.
std::optional<Endpoint> Coordinator::otherHome(std::string_view host) {
  std::vector<wire::ServerState> states;
  std::map<ServerNumber, HandedOn> handedOnTo;
  for (auto& [state, way] : others()) {
    HandedOn& since = handedOnTo[state.number] = handedOnTo_[state.number];
    const auto arrived = std::max(state.peers, since.known) - since.known;
    since.known = state.peers;
    since.underWay -= std::min(since.underWay, arrived);
    if (state.sequence >= since.until) since.underWay = 0;  // the others went elsewhere
    state.peers += since.underWay;
    state.room -= std::min(state.room, since.underWay);
    states.push_back(std::move(state));
  }
  handedOnTo_ = std::move(handedOnTo);
  const auto* home = chooseHome(options_.balance, states, host, handedOn_);
  if (!home) return std::nullopt;
  ++handedOn_;
  ++handedOnTo_[home->number].underWay;
  handedOnTo_[home->number].until = home->sequence + kArrivalStates;
  return home->address;
}

// The answer to a newcomer that this metaserver does not take; nothing: it does.
std::optional<wire::RegistryReply> Coordinator::turnAway(const std::string& host) {
  // The session of who asks is counted.
  if (!drains_ && home_.size() <= options_.peersMost) return std::nullopt;
  if (const auto home = otherHome(host)) return wire::Redirect{*home, network_};
  ++turnedAway_;
  return wire::Failure{ErrorCode::refused,
                       options_.peersMost == 0
                           ? "this metaserver is an entry, and no other one takes peers"
                           : "every metaserver of this network is full",
                       false, true};
}

Result<void> Coordinator::drain(bool force, TimePoint now, CoordinatorEffects& fx) {
  std::uint64_t room = 0;
  for (const auto& [state, way] : others()) room += state.room;
  if (!force && room < home_.size()) {
    const std::string name = mesh_.self().name.text();
    return Error{ErrorCode::refused,
                 others().empty()
                     ? fmt::format("{} is alone: its peers have no other metaserver", name)
                     : fmt::format("the other metaservers have room for {} of {} peers", room,
                                   home_.size())};
  }
  drains_ = true;
  isAppointed_ = false;
  if (isSingle_) {
    fx.isDrained = true;
    return {};
  }
  tellOwn(now, fx);
  reconsider(now, fx);
  startMoving(false, limits::kMovingSpread, now);
  return {};
}

std::size_t Coordinator::forget(const ServerName& name, TimePoint now) {
  const auto known = numbers_.find(name);
  if (known == numbers_.end() || reached_.contains(known->second)) return 0;
  const ServerNumber home = known->second;
  numbers_.erase(known);
  if (!mayDecide()) return 0;
  sweepAt_ = now;  // of what etcd has
  isDirty_ = true;
  return authority_->registry.releaseHome(home);
}

void Coordinator::setUnfit(bool isUnfit, TimePoint now, CoordinatorEffects& fx) {
  isUnfit_ = isUnfit;
  if (isSingle_) return;
  tellOwn(now, fx);
  reconsider(now, fx);
}

void Coordinator::moved(const Endpoint& address, TimePoint now, CoordinatorEffects& fx,
                        Duration spread) {
  if (isSingle_) endSingle(now, fx);
  MeshEffects mesh;
  mesh_.setAddress(address, now, mesh);
  absorb(mesh, fx);
  reservePorts();
  startMoving(true, spread, now);
}

void Coordinator::setExpected(std::vector<Endpoint> addresses) {
  if (addresses.size() > kExpectedServers) addresses.resize(kExpectedServers);
  expected_ = std::move(addresses);
  reservePorts();
}

void Coordinator::startMoving(bool isToSelf, Duration spread, TimePoint now) {
  Moving moving;
  moving.isToSelf = isToSelf;
  moving.left = home_.connections();
  const auto steps = static_cast<std::size_t>(std::max<Duration>(spread, kMoveStep) / kMoveStep);
  moving.each = std::max<std::size_t>(1, (moving.left.size() + steps - 1) / steps);
  moving.nextAt = now;
  moving.endAt = now + limits::kMovingWait;
  moving_ = std::move(moving);
  isDirty_ = true;
}

void Coordinator::moveSome(TimePoint now, CoordinatorEffects& fx) {
  if (now < moving_->nextAt) return;
  moving_->nextAt = now + kMoveStep;
  // Who decides goes on until another one does.
  const bool isDeciding = authority_ && !others().empty();
  if (!moving_->isToSelf && isDeciding && now < moving_->endAt) return;
  HomeSessions::Effects home;
  for (std::size_t i = 0; i < moving_->each && !moving_->left.empty(); ++i) {
    const ConnectionId connection = moving_->left.back();
    moving_->left.pop_back();
    const std::string* host = home_.hostOf(connection);
    if (!host) continue;
    const auto to = moving_->isToSelf ? mesh_.self().address : otherHome(*host);
    if (to) home_.redirect(connection, {*to, network_}, home);
  }
  deliver(home, now, fx);
  if (moving_->isToSelf) {
    if (moving_->left.empty()) moving_.reset();
    return;
  }
  const bool allGone = moving_->left.empty() && home_.size() == 0;
  if (!allGone && now < moving_->endAt) return;
  fx.isDrained = true;
  moving_.reset();
}

}  // namespace espalier::metaserver::cluster
