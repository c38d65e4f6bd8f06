#include "tests/support/cluster_network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/base/limits.h"

namespace espalier::test {

using namespace std::chrono_literals;
using metaserver::cluster::CloseReason;

namespace {

constexpr TimePoint kBegin{std::chrono::hours(1)};
constexpr Duration kStateWritten = 300ms;  // after a change
constexpr double kBusy = 0.1;              // of all ticks
constexpr Duration kBusyMost = 20ms;

constexpr Duration kOldAddress = 10s;  // answers so long after a move

}  // namespace

std::string ClusterNetwork::textOf(const Epoch& epoch) {
  return fmt::format("({}, {})", epoch.counter, number(epoch.number));
}

Duration ClusterNetwork::within(Random& random, Duration least, Duration most) {
  const auto steps = static_cast<std::uint64_t>((most - least).count()) + 1;
  return least + Duration(static_cast<Duration::rep>(random() % steps));
}

TimePoint ClusterNetwork::local(const Server& server, TimePoint now) const {
  const auto passed = static_cast<double>(now.time_since_epoch().count());
  return kBegin + server.offset + Duration(std::llround(passed * server.rate));
}

TimePoint ClusterNetwork::global(const Server& server, TimePoint local) const {
  if (local == kNever || local < kBegin + server.offset) return outside_.now();
  const auto passed = static_cast<double>((local - kBegin - server.offset).count());
  TimePoint when{Duration(std::llround(passed / server.rate))};
  while (this->local(server, when) < local) when += 1us;
  return when;
}

void ClusterNetwork::log(const Server& server, const std::string& text) {
  outside_.log(server.name + ": " + text);
}

// --- processes ---

std::size_t ClusterNetwork::add(std::set<std::size_t> named, bool isCluster) {
  const std::size_t i = servers_.size();
  Server& server = servers_.emplace_back();
  server.name = fmt::format("m{}", 5000 + i);
  // Numbers are not in the order of the indices.
  server.number = ServerNumber{static_cast<std::uint16_t>(1 + (i * 5 + 3) % 17)};
  named.erase(i);
  server.named = std::move(named);
  server.isCluster = isCluster;
  server.rate = 1 + settings_.clockError * (static_cast<double>(below(2001)) - 1000) / 1000;
  server.offset = within(0s, 1000s);
  server.disk.network = randomFrom<wire::NetworkId>(random_);
  server.address = firstAddressOf(i);
  return i;
}

Endpoint ClusterNetwork::firstAddressOf(std::size_t i) {
  return {"127.0.0.1", static_cast<std::uint16_t>(4900 + i)};
}

std::optional<std::size_t> ClusterNetwork::at(const Endpoint& address) const {
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    const Server& server = servers_[i];
    if (server.address == address) return i;
    if (server.addressBefore == address && outside_.now() < server.beforeUntil) return i;
  }
  return std::nullopt;
}

void ClusterNetwork::start(std::size_t i, std::chrono::milliseconds wallClockError) {
  Server& server = servers_[i];
  if (server.core) return;
  ++server.run;
  if (!server.disk.members.empty()) begunByFileAt_ = outside_.now();
  server.machineRuns = true;
  server.address = firstAddressOf(i);
  server.beforeUntil = {};
  server.haveEpoch = {};
  server.awaySince.clear();
  server.handed.clear();
  server.own.reset();
  server.homesWrongSince.reset();
  server.diesSoon = false;
  server.stalledUntil = outside_.now();
  server.inbox.clear();
  server.tickAt = kNever;
  server.copy = {};
  server.isOld = false;
  // Those that it has seen are dialled as if they were named.
  server.unanswered = server.named;
  server.unanswered.insert(server.disk.known.begin(), server.disk.known.end());
  server.unanswered.erase(i);
  server.dialling.clear();
  server.random = std::make_unique<Random>(random_());
  server.budget = std::make_unique<Budget>();
  Coordinator::Options options;
  options.self.name = *ServerName::parse(server.name);
  options.self.number = server.number;
  options.self.address = server.address;
  options.self.started =
      1'000'000s + wallClockError +
      std::chrono::duration_cast<std::chrono::milliseconds>(outside_.now().time_since_epoch()) +
      std::chrono::milliseconds(i);
  options.self.priority = static_cast<std::uint32_t>(below(3));
  options.rule = settings_.rule;
  options.settings = {{"election", "all the same"}};
  options.registry.maxLinks = settings_.maxLinks;
  options.registry.placement = settings_.placement;
  options.registry.network = server.disk.network;
  options.registry.nextOrder = server.disk.nextOrder;
  options.registry.before = server.disk.members;
  options.durable = server.disk.durable;
  options.isCluster = server.isCluster || !server.disk.known.empty();
  options.isByEtcd = settings_.isByEtcd;
  options.etcdPrefix = "/espalier/";
  options.named = server.unanswered.size();
  log(server, fmt::format("starts, run {}, with {} members on disk, orders from {}, epoch {}",
                          server.run, server.disk.members.size(), number(server.disk.nextOrder),
                          textOf(server.disk.durable.epoch)));
  options.chatOpensAt = settings_.chatOpensAt;
  options.roomRate = {1e6, 1e6};
  server.roomsNow = server.rooms;
  Effects fx;
  server.core = std::make_unique<Coordinator>(std::move(options), *server.budget, *server.random,
                                              localNow(server), fx, server.rooms.stored());
  carryOut(i, fx);
  if (!server.core) return;
  startEtcd(i);
  if (!server.core) return;
  scheduleTick(i);
  outside_.at(outside_.now() + within(0ms, 50ms), [this, i, run = server.run] { dialAll(i, run); });
}

void ClusterNetwork::kill(std::size_t i, bool silently) {
  Server& server = servers_[i];
  if (!server.core) return;
  log(server, silently ? "its machine is gone" : "is killed");
  if (server.isOld && chance(0.5) && !server.isUnpromised) writeState(server);
  server.isUnpromised = false;
  server.core.reset();
  endEtcd(i);
  server.machineRuns = !silently;
  server.inbox.clear();
  server.tickAt = kNever;
  for (const auto& [id, end] : std::map(server.lines)) {
    end.line->open[end.side] = false;
    if (!silently) send(end.line, end.side, Fin{});
  }
  server.lines.clear();
  server.dialling.clear();
  std::erase_if(joins_, [&](const auto& join) { return join.first.first == i; });
  if (!silently) outside_.ended(i);
}

void ClusterNetwork::killSoon(std::size_t i) {
  servers_[i].diesSoon = true;
}

void ClusterNetwork::spareAll() {
  for (Server& server : servers_) server.diesSoon = false;
}

void ClusterNetwork::stall(std::size_t i, Duration time) {
  Server& server = servers_[i];
  if (!server.core) return;
  log(server, "stands still");
  server.stalledUntil = std::max(server.stalledUntil, outside_.now() + time);
  outside_.at(server.stalledUntil, [this, i, run = server.run] {
    Server& awake = servers_[i];
    if (!awake.core || awake.run != run || isStalled(i)) return;
    log(awake, "goes on");
    awake.homesWrongSince.reset();  // the checks count the time in which it could act
    awake.awaySince.clear();
    if (chance(0.5)) tick(i);  // either may come first
    auto inbox = std::exchange(awake.inbox, {});
    for (auto& action : inbox) action();
    if (servers_[i].core) scheduleTick(i);
  });
}

void ClusterNetwork::cutBoth(std::size_t a, std::size_t b) {
  cut(a, b);
  cut(b, a);
}

void ClusterNetwork::heal(std::size_t from, std::size_t to) {
  cuts_.erase({from, to});
  const auto held = std::exchange(held_[{from, to}], {});
  for (const auto& one : held) send(one.line, one.side, one.message);
}

void ClusterNetwork::healAll() {
  for (const auto& [from, to] : std::set(cuts_)) heal(from, to);
  healEtcd();
}

void ClusterNetwork::breakOne() {
  Server& server = servers_[below(servers_.size())];
  if (server.lines.empty()) return;
  const End end =
      std::next(server.lines.begin(), static_cast<std::ptrdiff_t>(below(server.lines.size())))
          ->second;
  outside_.log(fmt::format("the connection of {} to {} breaks", servers_[end.line->server[0]].name,
                           servers_[end.line->server[1]].name));
  for (const int side : {0, 1}) arrive(end.line, side, Fin{}, outside_.now() + within(0ms, 50ms));
}

void ClusterNetwork::link(std::size_t from, std::size_t to) {
  if (!servers_[from].core || isStalled(from)) return;
  servers_[from].named.insert(to);
  dial(from, to);
}

Result<void> ClusterNetwork::appoint(std::size_t at, std::size_t whom) {
  Result<void> result;
  const auto name = *ServerName::parse(servers_[whom].name);
  step(at, [&](Coordinator& core, TimePoint now, Effects& fx) {
    result = core.appoint(name, now, fx);
  });
  return result;
}

void ClusterNetwork::move(std::size_t i) {
  moveTo(i, {"127.0.0.1", static_cast<std::uint16_t>(4000 + i + 20 * (servers_[i].moves++ % 40))});
}

void ClusterNetwork::moveBack(std::size_t i) {
  moveTo(i, firstAddressOf(i));
}

void ClusterNetwork::moveTo(std::size_t i, const Endpoint& address) {
  Server& server = servers_[i];
  if (!server.core || isStalled(i) || server.address == address) return;
  log(server, "moves to " + address.text());
  server.addressBefore = std::exchange(server.address, address);
  server.beforeUntil = outside_.now() + kOldAddress;
  step(i, [&](Coordinator& core, TimePoint now, Effects& fx) { core.moved(address, now, fx); });
}

void ClusterNetwork::jumpClock(std::size_t i, Duration by) {
  Server& server = servers_[i];
  log(server, "its clock jumps");
  server.offset += by;
  if (server.core) scheduleTick(i);
}

void ClusterNetwork::drain(std::size_t i) {
  step(i, [](Coordinator& core, TimePoint now, Effects& fx) { (void)core.drain(false, now, fx); });
}

std::size_t ClusterNetwork::forget(std::size_t at, std::size_t whom) {
  std::size_t freed = 0;
  const auto name = *ServerName::parse(servers_[whom].name);
  step(at, [&](Coordinator& core, TimePoint now, Effects&) { freed = core.forget(name, now); });
  return freed;
}

// --- peers ---

void ClusterNetwork::whenAwake(std::size_t i, std::function<void()> action) {
  Server& server = servers_[i];
  if (!server.core) return;
  if (isStalled(i)) {
    server.inbox.push_back(std::move(action));
  } else {
    action();
  }
}

void ClusterNetwork::peerOpened(std::size_t i, ConnectionId connection) {
  whenAwake(i, [=, this] {
    step(i, [=](Coordinator& core, TimePoint now, Effects& fx) {
      core.peerOpened(connection, "127.0.0.1", now, fx);
    });
  });
}

void ClusterNetwork::peerReceived(std::size_t i, ConnectionId connection,
                                  const wire::RegistryRequest& request) {
  whenAwake(i, [=, this] {
    wire::RegistryRequest asked = request;
    if (auto* join = std::get_if<wire::Join>(&asked)) {
      joins_[{i, connection}] = *join;
      outside_.begin(i, *join);
    }
    if (std::holds_alternative<wire::Quit>(request)) quitters_.insert(joins_[{i, connection}].key);
    step(i, [&](Coordinator& core, TimePoint now, Effects& fx) {
      core.peerReceived(connection, asked, now, fx);
    });
  });
}

void ClusterNetwork::peerClosed(std::size_t i, ConnectionId connection) {
  whenAwake(i, [=, this] {
    step(i, [=](Coordinator& core, TimePoint now, Effects& fx) {
      core.peerClosed(connection, now, fx);
    });
  });
}

// --- steps ---

void ClusterNetwork::step(std::size_t i,
                          const std::function<void(Coordinator&, TimePoint, Effects&)>& event) {
  Server& server = servers_[i];
  if (!server.core) return;
  noteOwnSide(server);
  Effects fx;
  event(*server.core, localNow(server), fx);
  carryOut(i, fx);
  if (!server.core) return;
  check(i);
  scheduleTick(i);
  promiseByEtcd(i, fx);
}

void ClusterNetwork::carryOut(std::size_t i, Effects& fx) {
  Server& server = servers_[i];
  const bool does = fx.durable || !fx.peers.sends.empty() || !fx.messages.empty();
  const std::uint64_t dies = server.diesSoon && does ? below(4) : 9;
  // No file has what this step has decided: its promise is not written yet.
  server.isUnpromised = fx.durable.has_value();
  if (dies == 0) return kill(i);
  server.isUnpromised = false;
  if (fx.durable) {
    if (fx.durable->epoch < server.disk.durable.epoch) outside_.fail("a promise is taken back");
    server.disk.durable = *fx.durable;
  }
  if (dies == 1) return kill(i);
  for (const auto& persist : fx.peers.persists) {
    if (persist.durability == metaserver::Persist::Durability::beforeSends) continue;
    server.isCopyChecked = false;
    if (std::exchange(server.isOld, true)) continue;
    outside_.at(outside_.now() + kStateWritten, [this, i, run = server.run] {
      Server& there = servers_[i];
      if (there.core && there.run == run && !isStalled(i)) writeState(there);
    });
  }
  checkRedirects(server, fx);
  carryOutRooms(i, fx.rooms);
  std::size_t left = dies == 2 ? below(fx.peers.sends.size() + fx.messages.size() + 1) : SIZE_MAX;
  for (auto& send : fx.peers.sends) {
    if (left-- == 0) return kill(i);
    if (const auto* admitted = std::get_if<wire::Admitted>(&send.reply)) {
      checkAdmitted(i, send.to, *admitted);
    }
    outside_.toPeer(i, send.to, send.reply);
  }
  for (const ConnectionId connection : fx.peers.closes) {
    joins_.erase({i, connection});
    outside_.closePeer(i, connection);
  }
  for (const auto& one : fx.peers.probes) probe(i, one);
  for (const auto& notice : fx.peers.notices) log(server, notice.text);
  for (const auto& event : fx.peers.sessions) outside_.sessionEvent(i, event);
  for (auto& one : fx.messages) {
    if (left-- == 0) return kill(i);
    sendFrame(i, one);
  }
  for (const auto& one : fx.closes) {
    const auto end = server.lines.find(one.connection);
    if (end == server.lines.end()) {
      outside_.fail(server.name + " closes a connection that is not open");
      continue;
    }
    const End closing = end->second;
    if (one.reason == CloseReason::numberTaken || one.reason == CloseReason::nameTaken) {
      log(server, "refuses a metaserver: " + one.text);
    }
    endLine(closing.line, closing.side);
    send(closing.line, closing.side, Fin{});
  }
  if (dies != 9 || fx.isDrained) kill(i);
}

void ClusterNetwork::sendFrame(std::size_t i, Effects::ToServer& one) {
  const auto end = servers_[i].lines.find(one.connection);
  if (end == servers_[i].lines.end()) {
    outside_.fail(servers_[i].name + " sends on a connection that is not open");
    return;
  }
  if (!one.route || one.route->from == servers_[i].number) checkMessage(i, one.message);
  if (std::holds_alternative<wire::Handover>(one.message)) {
    const Server& next = servers_[end->second.line->server[1 - end->second.side]];
    const ServerNumber heir = one.route ? one.route->to : next.number;
    log(servers_[i], fmt::format("hands {} over, by way of {} to {}",
                                 textOf(std::get<wire::Handover>(one.message).last.epoch),
                                 next.name, number(heir)));
    const bool isOwn = !one.route || one.route->from == servers_[i].number;
    if (isOwn) checkHandover(i, heir, std::get<wire::Handover>(one.message));
  }
  send(end->second.line, end->second.side, wire::ClusterFrame{one.route, std::move(one.message)});
}

void ClusterNetwork::probe(std::size_t i, const metaserver::Probe& probe) {
  outside_.at(outside_.now() + within(1ms, 20ms), [this, i, probe, run = servers_[i].run] {
    if (servers_[i].run != run) return;
    const bool listens = outside_.listens(probe.endpoint);
    whenAwake(i, [=, this] {
      step(i, [=](Coordinator& core, TimePoint now, Effects& fx) {
        core.probed(probe.id, listens, now, fx);
      });
    });
  });
}

// As RegistryFollower: pages until the copy is what it is a copy of.
void ClusterNetwork::catchUp(Server& server) {
  for (bool more = true; more;) {
    auto changes = server.core->takeChanges(16);
    more = changes.more;
    server.copy.apply(std::move(changes));
  }
}

void ClusterNetwork::writeState(Server& server) {
  server.isOld = false;
  const auto moment = server.core->moment();
  catchUp(server);
  const auto& rows = server.core->directory().copy().rows();
  if (!server.core->isSingle() && server.copy.rows() != rows) {
    outside_.fail(fmt::format("{}: the reader has {} members, the directory {}", server.name,
                              server.copy.rows().size(), rows.size()));
  }
  server.disk.network = moment.network;
  server.disk.nextOrder = moment.nextOrder;
  if (moment.awaiting) return;
  server.disk.members = server.copy.remembered(server.core->lostLately(limits::kMembers));
}

void ClusterNetwork::scheduleTick(std::size_t i) {
  Server& server = servers_[i];
  const TimePoint due = std::max(global(server, server.core->deadline()), outside_.now());
  if (server.tickAt <= due && server.tickAt >= outside_.now()) return;
  server.tickAt = due;
  // A busy process has more to do first.
  const TimePoint when = due + (chance(kBusy) ? within(0ms, kBusyMost) : Duration());
  outside_.at(when, [this, i, due, run = server.run] {
    Server& there = servers_[i];
    if (!there.core || there.run != run || there.tickAt != due) return;
    there.tickAt = kNever;
    if (!isStalled(i)) tick(i);
  });
}

void ClusterNetwork::tick(std::size_t i) {
  step(i, [](Coordinator& core, TimePoint now, Effects& fx) { core.tick(now, fx); });
}

}  // namespace espalier::test
