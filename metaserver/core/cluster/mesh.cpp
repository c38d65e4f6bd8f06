#include "metaserver/core/cluster/mesh.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"

namespace espalier::metaserver::cluster {
namespace {

// More than a beat, so that a timer that is a little late does not make silences longer.
constexpr Duration kCountedGap = limits::kMeshBeat * 3 / 2;  // tuning
static_assert(limits::kMeshBeat + kCountedGap < limits::kMeshSilence, "a stall is no silence");

// Of one whose latest beat is older, the word of others is taken, too: when its link goes down, a
// second later, its state is fresh already.
constexpr Duration kOwnWord = limits::kMeshBeat * 2;  // tuning
static_assert(kOwnWord + limits::kMeshBeat < limits::kMeshSilence);

// An introduction is the latest state of its sender, so a known sequence cannot be much higher.
constexpr std::uint64_t kSequencesAhead = 1024;  // tuning: 51 s of the most frequent beats

// It was drained: its peers are elsewhere, and it ends. One that is only no candidate has room.
bool hasLeft(const wire::ServerState& state) {
  return state.drains && state.room == 0;
}

constexpr std::string_view kSecond = "another connection is kept";
constexpr std::string_view kOldRun = "the metaserver was started again";

}  // namespace

Mesh::Mesh(wire::ServerState self, TimePoint now)
    : self_(std::move(self)), known_(self_), now_(now), beatAt_(now), beatLeastAt_(now) {
  self_.sequence = 0;
  self_.heard.clear();
  updateExpiry();
}

// --- events ---

void Mesh::opened(const Opened& opened, TimePoint now, MeshEffects& fx) {
  observe(now);
  const wire::ServerState& state = opened.other;
  if (auto refusal = known_.whyNotLinked(state, awake_)) {
    fx.closes.push_back({opened.connection, refusal->reason, std::move(refusal->text)});
    return finish(now, fx);
  }
  std::vector<ConnectionId> ended;
  KnownServer& server = known_.enter(state, ended);
  close(ended, CloseReason::oldRun, kOldRun, fx);
  if (!isSameRun(state, server.state) || isNewer(state, server.state) ||
      server.state.sequence - state.sequence > kSequencesAhead) {
    setState(server, state, fx);
  }
  addConnection(server, opened, fx);
  hurry(now);
  finish(now, fx);
}

void Mesh::closed(ConnectionId connection, TimePoint now, MeshEffects& fx) {
  observe(now);
  if (KnownServer* server = ownerOf(connection)) {
    server->connections.remove(connection);
    owners_.erase(connection);
  }
  finish(now, fx);
}

void Mesh::received(ConnectionId connection, const wire::Beat& beat, TimePoint now,
                    MeshEffects& fx) {
  observe(now);
  KnownServer* server = ownerOf(connection);
  if (!server) return finish(now, fx);
  if (!isSound(beat.own) || !isSameRun(beat.own, server->state)) {
    server->connections.remove(connection);
    close({connection}, CloseReason::malformed, "a state that is not the sender's", fx);
    return finish(now, fx);
  }
  server->connections.heard(connection, awake_);
  if (isNewer(beat.own, server->state)) setState(*server, beat.own, fx);
  noteEchoes(beat.own.number, beat);
  const auto count = std::min(beat.others.size(), limits::kMetaservers - 1);
  for (std::size_t i = 0; i < count; ++i) hearOf(beat.others[i], fx);
  finish(now, fx);
}

void Mesh::tick(TimePoint now, MeshEffects& fx) {
  observe(now);
  finish(now, fx);
}

Mesh::Own Mesh::Own::of(const wire::ServerState& state) {
  return {state.peers, state.room,    state.drains,    state.isDeciding, state.appointed,
          state.epoch, state.network, state.isFounded, state.have};
}

void Mesh::Own::fill(wire::ServerState& state) const {
  state.peers = peers;
  state.room = room;
  state.drains = drains;
  state.isDeciding = isDeciding;
  state.appointed = appointed;
  state.epoch = epoch;
  state.network = network;
  state.isFounded = isFounded;
  state.have = have;
}

void Mesh::setOwn(const Own& own, TimePoint now, MeshEffects& fx) {
  observe(now);
  const Own before = Own::of(self_);
  own.fill(self_);
  Own urgent = own;
  urgent.peers = before.peers;
  urgent.room = before.room;
  urgent.have.sequence = before.have.sequence;
  if (urgent != before) hurry(now);
  finish(now, fx);
}

bool Mesh::setIdentity(const ServerName& name, ServerNumber number) {
  if (!known_.setIdentity(name, number)) return false;
  self_.name = name;
  self_.number = number;
  return true;
}

void Mesh::setAddress(const Endpoint& address, TimePoint now, MeshEffects& fx) {
  observe(now);
  self_.address = address;
  hurry(now);
  finish(now, fx);
}

void Mesh::refuse(ServerNumber number, CloseReason reason, std::string_view text, TimePoint now,
                  MeshEffects& fx) {
  observe(now);
  if (KnownServer* server = known_.find(number))
    close(server->connections.takeAll(), reason, text, fx);
  finish(now, fx);
}

wire::ServerState Mesh::introduce() {
  ++self_.sequence;
  return self_;
}

// --- connections ---

void Mesh::addConnection(KnownServer& server, const Opened& opened, MeshEffects& fx) {
  auto& connections = server.connections;
  // A connection that is silent here is not worth keeping, whoever dialled it.
  close(connections.takeSilent(awake_ - limits::kMeshSilence), CloseReason::second, kSecond, fx);
  const bool isLower = self_.number < server.state.number;
  connections.add(opened.connection,
                  {opened.dialledHere, opened.dialledHere == isLower, opened.dial}, awake_);
  owners_[opened.connection] = server.state.number;
}

void Mesh::close(const std::vector<ConnectionId>& connections, CloseReason reason,
                 std::string_view text, MeshEffects& fx) {
  for (const ConnectionId connection : connections) {
    owners_.erase(connection);
    fx.closes.push_back({connection, reason, std::string(text)});
  }
}

void Mesh::closeUnused(MeshEffects& fx) {
  for (auto& [itsNumber, server] : known_.all()) {
    auto& connections = server.connections;
    close(connections.takeSilent(awake_ - limits::kMeshDeaf), CloseReason::silent,
          "no beat arrives", fx);
    close(connections.takeSpare(), CloseReason::second, kSecond, fx);
  }
}

// --- states ---

// A state that somebody else passes on.
void Mesh::hearOf(const wire::ServerState& state, MeshEffects& fx) {
  if (known_.whyRefused(state, awake_)) return;
  std::vector<ConnectionId> ended;
  KnownServer* server = known_.enterStranger(state, awake_, ended);
  close(ended, CloseReason::oldRun, kOldRun, fx);
  if (!server || server->connections.isHeardSince(awake_ - kOwnWord)) return;
  if (server->state.name.empty() || isNewer(state, server->state)) setState(*server, state, fx);
}

void Mesh::setState(KnownServer& server, const wire::ServerState& state, MeshEffects& fx) {
  const bool isNewRun = !server.state.name.empty() && !isSameRun(server.state, state);
  const bool isSamePlace =
      server.state.address == state.address && server.state.serverPort == state.serverPort &&
      server.state.network == state.network && server.state.isFounded == state.isFounded;
  if (!isSamePlace) ++version_;
  server.state = state;
  server.newsAt = awake_;
  if (!isNewRun) return;
  ++version_;
  close(server.connections.takeAll(), CloseReason::oldRun, kOldRun, fx);
  fx.notices.push_back(
      {Payer::host(state.address.host), fmt::format("{} was started again", state.name.text())});
}

KnownServer* Mesh::ownerOf(ConnectionId connection) {
  const auto owner = owners_.find(connection);
  return owner == owners_.end() ? nullptr : known_.find(owner->second);
}

// --- time ---

void Mesh::observe(TimePoint now) {
  // A longer gap: this process stood still, and what others sent meanwhile is not read yet.
  noticeStall(now);
  awake_ += std::clamp<Duration>(now - now_, Duration::zero(), kCountedGap);
  now_ = std::max(now_, now);
}

TimePoint Mesh::deadline() const {
  const TimePoint first = std::min(beatAt_, now_ + (expiry_ - awake_));
  return doubt_ ? std::min(first, doubt_->until) : first;
}

void Mesh::hurry(TimePoint now) {
  beatAt_ = std::min(beatAt_, std::max(now, beatLeastAt_));
}

// What follows from every event.
void Mesh::finish(TimePoint now, MeshEffects& fx) {
  closeUnused(fx);
  known_.forget(awake_);
  updateHeard(now);
  updateWays(fx);
  if (now >= beatAt_) sendBeat(now, fx);
  updateExpiry();
  if (doubt_ && (doubt_->unheard.empty() || now >= doubt_->until)) doubt_.reset();
}

void Mesh::updateHeard(TimePoint now) {
  std::vector<ServerNumber> heard;
  for (const auto& [itsNumber, server] : known_.all()) {
    if (server.isHeard(awake_)) heard.push_back(itsNumber);
  }
  if (heard == self_.heard) return;
  self_.heard = std::move(heard);
  hurry(now);
}

void Mesh::updateWays(MeshEffects& fx) {
  std::vector<Heard> others;
  others.reserve(known_.all().size());
  for (const auto& [itsNumber, server] : known_.all()) {
    others.push_back({itsNumber, server.state.heard, awake_ - server.newsAt});
  }
  const auto ways = reach({self_.number, self_.heard, Duration::zero()}, others);
  auto way = ways.begin();
  for (auto& [itsNumber, server] : known_.all()) {
    const Way before = std::exchange(server.way, *way++);
    if (before == server.way) continue;
    ++version_;
    tell(server, before, fx);
  }
}

void Mesh::tell(const KnownServer& server, const Way& before, MeshEffects& fx) const {
  const std::string& name = server.state.name.text();
  const unsigned hops = server.way.hops;
  std::string text;
  if (hops == 0) {
    const auto silence = std::chrono::duration_cast<std::chrono::seconds>(limits::kMeshSilence);
    const bool isSilent = awake_ - server.newsAt >= limits::kMeshSilence;
    const std::string why = isSilent ? fmt::format("no sign of life for {} s", silence.count())
                            : server.connections.empty() ? "its connection ended"
                                                         : "no link to it is up";
    text = hasLeft(server.state) ? fmt::format("{} has left", name)
                                 : fmt::format("{} is dead ({})", name, why);
  } else if (hops == 1) {
    text = fmt::format("{} is linked", name);
  } else if (before.hops != 1 && before.hops != 0) {
    return;  // another way round
  } else if (before.hops == 1 && hasLeft(server.state)) {
    return;  // the others are about to notice
  } else {
    const std::string& by = known_.find(server.way.next)->state.name.text();
    text = fmt::format("{} is {} by way of {}", name,
                       before.hops == 1 ? "not linked any more, but reached" : "reached", by);
  }
  fx.notices.push_back({Payer::host(server.state.address.host), std::move(text)});
}

void Mesh::sendBeat(TimePoint now, MeshEffects& fx) {
  beatAt_ = now + limits::kMeshBeat;
  beatLeastAt_ = now + limits::kMeshBeatLeast;
  MeshEffects::SendBeat send;
  for (const auto& [itsNumber, server] : known_.all()) {
    if (!server.connections.empty()) send.to.push_back(server.connections.kept());
  }
  if (send.to.empty()) return;
  ++self_.sequence;
  send.beat.own = self_;
  // Those that are reached go first: strangers that somebody made up cannot keep them out.
  for (const bool reached : {true, false}) {
    for (const auto& [itsNumber, server] : known_.all()) {
      if (send.beat.others.size() == limits::kMetaservers - 1) break;
      if ((server.way.hops > 0) == reached && server.isFresh(awake_)) {
        send.beat.others.push_back(server.state);
      }
    }
  }
  fx.beats.push_back(std::move(send));
}

// The next moment at which silence alone changes something.
void Mesh::updateExpiry() {
  expiry_ = awake_ + limits::kMeshForget;
  const auto at = [&](Duration moment) {
    if (moment > awake_) expiry_ = std::min(expiry_, moment);
  };
  for (const auto& [itsNumber, server] : known_.all()) {
    for (const Duration heardAt : server.connections.heardAt()) {
      at(heardAt + limits::kMeshSilence);
      at(heardAt + limits::kMeshDeaf);
    }
    at(server.newsAt + freshFor(server.way.hops));
    at(server.newsAt + limits::kMeshForget);
  }
}

// --- queries ---

std::vector<Mesh::Reached> Mesh::reachable() const {
  std::vector<Reached> result;
  for (const auto& [itsNumber, server] : known_.all()) {
    if (server.way.hops > 0) result.push_back({server.state, server.way});
  }
  return result;
}

std::optional<ServerNumber> Mesh::next(ServerNumber number) const {
  const KnownServer* server = known_.find(number);
  if (!server || server->way.hops == 0) return std::nullopt;
  return server->way.next;
}

std::vector<ServerNumber> Mesh::links() const {
  std::vector<ServerNumber> result;
  for (const auto& [itsNumber, server] : known_.all()) {
    if (server.way.hops == 1) result.push_back(itsNumber);
  }
  return result;
}

std::optional<ServerNumber> Mesh::at(ConnectionId connection) const {
  const auto owner = owners_.find(connection);
  if (owner == owners_.end()) return std::nullopt;
  return owner->second;
}

std::optional<ConnectionId> Mesh::connectionTo(ServerNumber number) const {
  const KnownServer* server = known_.find(number);
  if (!server || server->connections.empty()) return std::nullopt;
  return server->connections.kept();
}

bool Mesh::isLinking() const {
  return std::any_of(known_.all().begin(), known_.all().end(), [&](const auto& one) {
    return one.second.way.hops == 0 && one.second.isHeard(awake_);
  });
}

std::vector<wire::ServerState> Mesh::unconnected() const {
  std::vector<wire::ServerState> result;
  for (const auto& [itsNumber, server] : known_.all()) {
    if (server.connections.empty() && server.isFresh(awake_)) result.push_back(server.state);
  }
  return result;
}

Result<void> Mesh::checkInvariants() const {
  const auto wrong = [](std::string what) { return Error{ErrorCode::failed, std::move(what)}; };
  const auto checked = known_.check();
  if (!checked) return checked;
  std::size_t connections = 0;
  for (const auto& [itsNumber, server] : known_.all()) {
    connections += server.connections.size();
    if (server.way.hops == 1 && !server.isHeard(awake_)) {
      return wrong("the link to " + server.state.name.text() + " is up, but it is not heard");
    }
  }
  if (connections != owners_.size()) return wrong("a connection without its metaserver");
  return {};
}

}  // namespace espalier::metaserver::cluster
