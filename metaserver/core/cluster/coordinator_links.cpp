// The part of Coordinator that speaks with other metaservers: what arrives from them, and what is
// sent to one or all of them.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "metaserver/core/cluster/coordinator.h"

namespace espalier::metaserver::cluster {

wire::Introduction Coordinator::introduce() {
  founding_.introduced();
  wire::Introduction introduction;
  introduction.state = mesh_.introduce();
  if (isSingle_) {  // the mesh has not been told of it
    introduction.state.network = authority_->registry.network();
    introduction.state.isFounded = authority_->registry.nextOrder() > JoinOrder{1};
  }
  introduction.settings = options_.settings;
  return introduction;
}

Result<void> Coordinator::agreesWith(const wire::Introduction& other) const {
  const std::string& name = other.state.name.text();
  for (const auto& mine : options_.settings) {
    const auto its = std::find_if(other.settings.begin(), other.settings.end(),
                                  [&](const auto& one) { return one.name == mine.name; });
    if (its == other.settings.end() || its->value == mine.value) continue;
    return Error{ErrorCode::configuration,
                 fmt::format("metaservers of a cluster must have the same {}: {} has {}, {} has {}",
                             mine.name, mesh_.self().name.text(), mine.value, name, its->value)};
  }
  return agreesOnNetwork(other.state);
}

Result<void> Coordinator::agreesOnNetwork(const wire::ServerState& other) const {
  const auto& network = isSingle_ ? authority_->registry.network() : network_;
  if (!isFounded() || !other.isFounded || other.network == network) return {};
  return Error{ErrorCode::configuration,
               fmt::format("two networks with members do not become one: {} has the network {}, {} "
                           "has {}",
                           mesh_.self().name.text(), toHex(network.view()), other.name.text(),
                           toHex(other.network.view()))};
}

void Coordinator::linked(const Opened& opened, TimePoint now, CoordinatorEffects& fx) {
  if (isSingle_) endSingle(now, fx);
  hasMet_ = true;
  MeshEffects mesh;
  mesh_.opened({opened.connection, opened.dialledHere, opened.dial, opened.introduction.state}, now,
               mesh);
  absorb(mesh, fx);
  reconsider(now, fx);
}

void Coordinator::linkClosed(ConnectionId connection, TimePoint now, CoordinatorEffects& fx) {
  MeshEffects mesh;
  mesh_.closed(connection, now, mesh);
  absorb(mesh, fx);
  reconsider(now, fx);
}

void Coordinator::namedAnswered(TimePoint now, CoordinatorEffects& fx) {
  if (namedLeft_ > 0) --namedLeft_;
  reconsider(now, fx);
}

void Coordinator::linkReceived(ConnectionId connection, wire::ClusterFrame frame, TimePoint now,
                               CoordinatorEffects& fx) {
  observe(now);
  if (const auto* beat = std::get_if<wire::Beat>(&frame.message)) {
    MeshEffects mesh;
    mesh_.received(connection, *beat, now, mesh);
    absorb(mesh, fx);
    return reconsider(now, fx);
  }
  const auto sender = mesh_.at(connection);
  if (!sender) return;
  if (!frame.route) return take(*sender, std::move(frame.message), now, fx);
  wire::Route& route = *frame.route;
  if (route.to == mesh_.self().number) return take(route.from, std::move(frame.message), now, fx);
  if (route.hops == 0) return;
  --route.hops;
  const auto next = mesh_.next(route.to);
  const auto way = next ? mesh_.connectionTo(*next) : std::nullopt;
  if (way && *way != connection) {
    fx.messages.push_back({*way, std::move(frame.message), route});
  }
}

void Coordinator::take(ServerNumber from, wire::ClusterMessage message, TimePoint now,
                       CoordinatorEffects& fx) {
  if (!reached_.contains(from)) return;  // its sessions begin anew when it is reached again
  std::visit(
      [&](auto& one) {
        using Message = std::decay_t<decltype(one)>;
        if constexpr (std::is_same_v<Message, wire::Delta> ||
                      std::is_same_v<Message, wire::SnapshotPage> ||
                      std::is_same_v<Message, wire::Position>) {
          takeDirectory(from, std::move(one), now, fx);
        } else if constexpr (std::is_same_v<Message, wire::Pull>) {
          if (!authority_) return;
          for (auto& answer : authority_->publication.answer(one)) {
            std::visit([&](auto& part) { send(from, std::move(part), fx); }, answer);
          }
          if (authority_->isFrozen()) authority_->frozenAt = now;  // its heir is at work
        } else if constexpr (std::is_same_v<Message, wire::SessionRequests>) {
          takeRequests(from, std::move(one), now, fx);
        } else if constexpr (std::is_same_v<Message, wire::SessionAnswers>) {
          takeAnswers(from, std::move(one), now, fx);
        } else if constexpr (std::is_same_v<Message, wire::Have>) {
          if (!authority_ || one.version.epoch != authority_->epoch()) return;
          acknowledged_ = std::max(acknowledged_, one.version.sequence);
          isDirty_ = isDirty_ || !held_.empty();
        } else if constexpr (std::is_same_v<Message, wire::Handover>) {
          takeHandover(from, one, now, fx);
        } else if constexpr (std::is_same_v<Message, wire::Appoint>) {
          isAppointed_ = true;
          reconsider(now, fx);
        } else if constexpr (std::is_same_v<Message, wire::StatisticsRequest> ||
                             std::is_same_v<Message, wire::Statistics>) {
          fx.statistics.push_back({from, std::move(one)});
        } else if constexpr (std::is_same_v<Message, wire::RoomServerMessage>) {
          inRooms([&](auto& core, auto& out) { core.received(from, one, now, out); });
        }
      },
      message);
}

void Coordinator::takeDirectory(ServerNumber from, wire::DirectoryMessage message, TimePoint now,
                                CoordinatorEffects& fx) {
  const bool isTaken = taking_ && taking_->copy && taking_->from == from;
  if (!isTaken && !replica_) return;
  Replica& replica = isTaken ? *taking_->copy : *replica_;
  const auto before = replica.version();
  const bool wasAwaiting = replica.isAwaiting();
  const auto* delta = std::get_if<wire::Delta>(&message);
  const bool isNext = delta && delta->after.version.epoch == before.epoch &&
                      delta->after.version.sequence == before.sequence + 1;
  std::optional<wire::Delta> next;
  if (isNext && !isTaken) next = *delta;
  Replica::Effects pulls;
  replica.received(std::move(message), now, pulls);
  pull(from, pulls, fx);
  if (replica.version() != before) {
    if (!isTaken) {
      if (next) {
        noteChange(*next, now, fx);
        changedDirectory(fx);
      } else {
        noteReplaced(now, fx);
      }
    }
    if (taking_ && from == taking_->from) taking_->until = now + Taking::kPatience;
  } else if (!isTaken && replica.isAwaiting() != wasAwaiting) {
    changedDirectory(fx);  // the files are written now
  }
  progressTaking(now, fx);
  isDirty_ = true;
}

void Coordinator::takeRequests(ServerNumber from, wire::SessionRequests batch, TimePoint now,
                               CoordinatorEffects& fx) {
  if (!authority_ || authority_->isFrozen()) return;
  considerFounding(now);
  if (isPaused_) {
    // Beyond the bound there is a gap: the home begins another stream.
    if (pausedBatches_.size() < limits::kPausedBatches) {
      pausedBatches_.emplace_back(from, std::move(batch));
    }
    return;
  }
  const auto run = reached_.find(from);
  if (run == reached_.end()) return;
  auto taken = authority_->streams.take(from, run->second, std::move(batch));
  metaserver::Effects own;
  RemoteSessions::Messages messages;
  if (taken.isNew) {
    authority_->dropAnswers(from);
    authority_->remote.homeGone(from, now, own, messages);
    send(from, authority_->publication.position(), fx);  // it may lack the directory
  }
  for (auto& message : taken.messages) {
    if (auto* room = std::get_if<wire::SessionRoomPassed>(&message)) {
      inRooms(
          [&](auto& core, auto& out) { core.passed(from, std::move(room->message), now, out); });
    } else {
      authority_->remote.received(from, message, now, own, messages);
    }
  }
  HomeSessions::Effects home;
  route(messages, now, home);
  absorb(own, fx);
  if (taken.isBroken) authority_->answers[from];  // the next batch says so
  deliver(home, now, fx);
}

void Coordinator::takeAnswers(ServerNumber from, wire::SessionAnswers batch, TimePoint now,
                              CoordinatorEffects& fx) {
  if (master_ != from || authority_) return;
  HomeSessions::Effects home;
  if (auto messages = stream_.take(std::move(batch))) {
    for (auto& message : *messages) {
      const auto* reply = std::get_if<wire::SessionReply>(&message);
      const bool isAdmitted = reply && std::holds_alternative<wire::Admitted>(reply->reply);
      const auto connection = reply ? ConnectionId{number(reply->session)} : ConnectionId{};
      if (const auto* room = std::get_if<wire::SessionRoomAnswer>(&message)) {
        inRooms([&](auto& core, auto& out) { core.answered(room->message, now, out); });
        continue;
      }
      home_.received(std::move(message), now, home);
      if (isAdmitted) releaseHeldOf(connection, fx);
    }
  } else {
    stream_.begin(masterEpoch_);
    requests_.clear();
    home_.masterChanged(now, home);
    inRooms([&](auto& core, auto& out) { core.masterBegan(now, out); });
  }
  deliver(home, now, fx);
}

void Coordinator::pull(ServerNumber from, Replica::Effects& pulls, CoordinatorEffects& fx) {
  for (auto& one : pulls.pulls) send(from, one, fx);
  for (auto& notice : pulls.notices) fx.peers.note({}, std::move(notice));
}

void Coordinator::send(ServerNumber to, wire::ClusterMessage message, CoordinatorEffects& fx) {
  const auto next = mesh_.next(to);
  const auto way = next ? mesh_.connectionTo(*next) : std::nullopt;
  if (!way) return;
  std::optional<wire::Route> route;
  if (*next != to) route = wire::Route{mesh_.self().number, to, limits::kMetaservers};
  fx.messages.push_back({*way, std::move(message), route});
}

void Coordinator::broadcast(const wire::ClusterMessage& message, CoordinatorEffects& fx) {
  for (const auto& [to, run] : reached_) send(to, message, fx);
}

void Coordinator::absorb(MeshEffects& mesh, CoordinatorEffects& fx) {
  for (auto& [to, beat] : mesh.beats) {
    for (const ConnectionId connection : to) fx.messages.push_back({connection, beat, {}});
  }
  for (auto& close : mesh.closes) fx.closes.push_back(std::move(close));
  for (auto& notice : mesh.notices) fx.peers.notices.push_back(std::move(notice));
}

}  // namespace espalier::metaserver::cluster
