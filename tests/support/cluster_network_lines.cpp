// The part of ClusterNetwork that has the connections between metaservers.
#include "tests/support/cluster_network.h"

namespace espalier::test {

using namespace std::chrono_literals;

// --- connections between metaservers ---

void ClusterNetwork::dialAll(std::size_t i, unsigned run) {
  Server& server = servers_[i];
  if (!server.core || server.run != run) return;
  outside_.at(outside_.now() + 1s, [this, i, run] { dialAll(i, run); });
  if (isStalled(i)) return;
  tellEtcd(i);
  if (!server.core) return;
  for (const auto& state : server.core->mesh().unconnected()) {
    if (const auto other = at(state.address)) server.disk.known.insert(*other);
  }
  std::set<std::size_t> all = server.named;
  all.insert(server.disk.known.begin(), server.disk.known.end());
  all.erase(i);
  for (const std::size_t to : all) {
    if (!server.core) return;
    const bool isLinked = server.core->mesh().connectionTo(servers_[to].number).has_value();
    if (!isLinked && !server.dialling.contains(to)) dial(i, to);
  }
}

void ClusterNetwork::dial(std::size_t from, std::size_t to) {
  Server& server = servers_[from];
  auto line = std::make_shared<Line>();
  line->server[0] = from;
  line->server[1] = to;
  line->run[0] = server.run;
  line->id[0] = ConnectionId{2 * ++server.ids + 1};
  line->dial = ++server.dials;
  server.dialling.insert(to);
  server.lines[line->id[0]] = {line, 0};
  auto introduction = server.core->introduce();
  introduction.dial = line->dial;
  send(line, 0, std::move(introduction));
  outside_.at(outside_.now() + 2s, [this, line, run = server.run] {
    const Server& dialler = servers_[line->server[0]];
    if (!line->open[0] || line->introduced[0] || dialler.run != run) return;
    endLine(line, 0);
    send(line, 0, Fin{});
  });
}

void ClusterNetwork::answered(std::size_t i, std::size_t named) {
  if (servers_[i].unanswered.erase(named) == 0) return;
  step(i, [](Coordinator& core, TimePoint now, Effects& fx) { core.namedAnswered(now, fx); });
}

void ClusterNetwork::send(const LinePtr& line, int side, Message message) {
  const std::size_t from = line->server[side];
  const std::size_t to = line->server[1 - side];
  if (isCut(from, to)) {
    held_[{from, to}].push_back({line, side, std::move(message)});
    return;
  }
  const auto* frame = std::get_if<wire::ClusterFrame>(&message);
  const bool isOfRooms = frame && std::holds_alternative<wire::RoomServerMessage>(frame->message);
  Random& random = isOfRooms ? ofRooms_ : random_;
  const auto delay = within(random, settings_.leastDelay, settings_.mostDelay);
  arrive(line, 1 - side, std::move(message), outside_.now() + delay);
}

void ClusterNetwork::arrive(const LinePtr& line, int side, Message message, TimePoint time) {
  line->arrival[side] = std::max(time, line->arrival[side]);
  outside_.at(line->arrival[side], [this, line, side, message = std::move(message)]() mutable {
    const std::size_t i = line->server[side];
    Server& server = servers_[i];
    const bool knows = side == 0 || line->accepted;
    if (!server.core || (knows && line->run[side] != server.run)) {
      if (server.machineRuns && !std::holds_alternative<Fin>(message)) send(line, side, Fin{});
      return;
    }
    whenAwake(i, [this, line, side, message = std::move(message)]() mutable {
      handle(line, side, message);
    });
  });
}

void ClusterNetwork::handle(const LinePtr& line, int side, Message& message) {
  const std::size_t i = line->server[side];
  Server& server = servers_[i];
  const bool knows = side == 0 || line->accepted;
  if (!server.core || !line->open[side] || (knows && line->run[side] != server.run)) return;
  if (std::holds_alternative<Fin>(message)) {
    if (!knows) {
      line->open[side] = false;
      return;
    }
    const bool wasIntroduced = line->introduced[side];
    endLine(line, side);
    if (wasIntroduced) {
      step(i, [&](Coordinator& core, TimePoint now, Effects& fx) {
        core.linkClosed(line->id[side], now, fx);
      });
    }
    if (side == 0) answered(i, line->server[1]);
  } else if (auto* frame = std::get_if<wire::ClusterFrame>(&message)) {
    if (!line->introduced[side]) return;
    step(i, [&](Coordinator& core, TimePoint now, Effects& fx) {
      core.linkReceived(line->id[side], std::move(*frame), now, fx);
    });
  } else {
    introduced(line, side, std::get<wire::Introduction>(message));
  }
}

void ClusterNetwork::introduced(const LinePtr& line, int side,
                                const wire::Introduction& introduction) {
  const std::size_t i = line->server[side];
  Server& server = servers_[i];
  if (side == 1) {
    line->accepted = true;
    line->run[1] = server.run;
    line->id[1] = ConnectionId{2 * ++server.ids};
    server.lines[line->id[1]] = {line, 1};
    send(line, 1, server.core->introduce());
  } else {
    server.dialling.erase(line->server[1]);
  }
  if (auto agrees = server.core->agreesWith(introduction); !agrees) {
    log(server, agrees.error().message);
    endLine(line, side);
    send(line, side, Fin{});
  } else {
    line->introduced[side] = true;
    server.disk.known.insert(line->server[1 - side]);
    step(i, [&](Coordinator& core, TimePoint now, Effects& fx) {
      core.linked(
          {line->id[side], side == 0, side == 0 ? line->dial : introduction.dial, introduction},
          now, fx);
    });
  }
  if (side == 0) answered(i, line->server[1]);
}

void ClusterNetwork::endLine(const LinePtr& line, int side) {
  Server& server = servers_[line->server[side]];
  line->open[side] = false;
  server.lines.erase(line->id[side]);
  if (side == 0) server.dialling.erase(line->server[1]);
}

}  // namespace espalier::test
