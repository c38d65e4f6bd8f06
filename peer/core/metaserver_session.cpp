#include "peer/core/metaserver_session.h"

#include <algorithm>
#include <random>
#include <utility>

namespace espalier::peer {
namespace {

// The same number as for a neighbour in the tree.
constexpr int kHeartbeatsLost = limits::kSilence / limits::kHeartbeatInterval;

Duration bounded(Duration interval) {
  return std::clamp<Duration>(interval, limits::kHeartbeatIntervalLeast,
                              limits::kMetaserverHeartbeatMost);
}

}  // namespace

void MetaserverSession::connect(TimePoint now, Effects& fx) {
  if (state_ != State::offline) return;
  state_ = State::connecting;
  reconnectAt_ = kNever;
  connection_ = numbers_.next();
  heardAt_ = now;
  fx.dials.push_back({*connection_, metaserver_, wire::Purpose::registry});
}

void MetaserverSession::opened(const std::string& localHost, TimePoint now) {
  state_ = State::greeted;
  heardAt_ = now;
  localHost_ = localHost;
  nextHeartbeat_ = now + heartbeatInterval_;
}

void MetaserverSession::join(wire::Join request, Effects& fx) {
  state_ = State::joining;
  awaitsAdmission_ = true;
  send(std::move(request), fx);
}

void MetaserverSession::admitted(const wire::Admitted& admitted, TimePoint now, Effects& fx) {
  state_ = State::joined;
  awaitsAdmission_ = false;
  heartbeatInterval_ = bounded(admitted.heartbeatInterval);
  nextHeartbeat_ = now + heartbeatInterval_;
  members_ = admitted.members;
  if (admitted.source.empty() || admitted.source == admitted.self.endpoint.host) return;
  if (std::exchange(seenFrom_, admitted.source) != admitted.source) {
    fx.notices.push_back({Notice::Kind::seenFrom, admitted.source});
  }
}

void MetaserverSession::askForPort(std::uint16_t taken, Effects& fx) {
  awaitsAdmission_ = true;
  send(wire::PortTaken{taken}, fx);
}

void MetaserverSession::refused() {
  state_ = State::greeted;
  awaitsAdmission_ = false;
}

void MetaserverSession::ended(std::string why, Effects& fx) {
  state_ = State::offline;
  awaitsAdmission_ = false;
  connection_.reset();
  requests_.clear();
  nextHeartbeat_ = kNever;
  fx.notices.push_back({Notice::Kind::metaserverLost, std::move(why)});
}

void MetaserverSession::reconnectLater(TimePoint now) {
  std::uniform_real_distribution<double> spread(0, 1);
  reconnectAt_ = now + limits::kReconnectLeast +
                 std::chrono::duration_cast<Duration>(
                     spread(random_) * (limits::kReconnectMost - limits::kReconnectLeast));
}

void MetaserverSession::send(wire::RegistryRequest request, Effects& fx) {
  fx.sends.push_back({*connection_, std::move(request)});
}

std::uint64_t MetaserverSession::ask(wire::RegistryRequest request, Effects& fx) {
  const auto number = requests_.add(request);
  send(std::move(request), fx);
  return number;
}

std::optional<std::uint64_t> MetaserverSession::answered(const wire::RegistryReply& reply,
                                                         Effects& fx) {
  const auto number = requests_.take(reply);
  if (!number && !std::exchange(toldUnasked_, true)) {
    fx.warn("the metaserver answers what it was not asked; such answers are ignored");
  }
  return number;
}

void MetaserverSession::heartbeatAnswered(const wire::RegistryHeartbeatReply& reply, Effects& fx) {
  heartbeatInterval_ = bounded(reply.heartbeatInterval);
  if (!reply.unreachable.empty() && !std::exchange(toldUnreachable_, true)) {
    fx.notices.push_back({Notice::Kind::unreachable, reply.unreachable});
  }
}

bool MetaserverSession::tick(TimePoint now, Effects& fx) {
  if (!greeted() || now < nextHeartbeat_) return true;
  if (heardAt_ + kHeartbeatsLost * heartbeatInterval_ <= now) return false;
  // Other requests do not postpone it: a report of links has no answer, so a peer that sent only
  // reports would take the metaserver for silent.
  nextHeartbeat_ = now + heartbeatInterval_;
  send(wire::RegistryHeartbeat(), fx);
  return true;
}

}  // namespace espalier::peer
