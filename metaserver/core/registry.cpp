#include "metaserver/core/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "metaserver/core/cluster/epoch.h"
#include "metaserver/core/join_rules.h"
#include "metaserver/core/session_ids.h"

namespace espalier::metaserver {

namespace {

// No order of a member is given again, whatever the caller says.
MemberDirectory::Orders ordersOf(const Registry::Options& options) {
  if (options.away.empty()) return {options.nextOrder, options.ordersFrom, options.epoch};
  const JoinOrder newest = options.away.back().contact.order;
  const auto next = cluster::orderAfter(newest, options.epoch).value_or(cluster::kNoOrderLeft);
  return {std::max(options.nextOrder, next), options.ordersFrom, options.epoch, newest};
}

}  // namespace

Registry::Registry(Options options, Budget& budget, TimePoint now, Effects& fx)
    : budget_(budget),
      joinWord_(std::move(options.joinWord)),
      membersMost_(options.membersMost),
      seen_(options.maxLinks),
      placement_(seen_, options.placement),
      directory_(seen_, options.network, ordersOf(options), now),
      ports_(seen_.tree(), options.firstPort),
      requests_(budget),
      tickAt_(now + limits::kHeartbeatInterval),
      now_(now) {
  for (auto& before : options.before) {
    fx.probes.push_back({before.id, before.endpoint});
    directory_.absent().add(std::move(before), AbsentMembers::Why::restart, now);
  }
  if (awaiting()) awaitUntil_ = now + limits::kRejoinWait;
  load(options.away, now);
  for (auto& held : options.held) {
    ports_.reserve(held.endpoint);
    directory_.absent().add(std::move(held), AbsentMembers::Why::lost, now);
  }
  loadLost(options.lost, now);
  fx.persists.push_back({Persist::Durability::beforeSends});
}

// --- connections ---

void Registry::opened(ConnectionId connection, std::string host, TimePoint now) {
  observe(now);
  sessions_[connection].host = std::move(host);
}

void Registry::closed(ConnectionId connection, TimePoint now, Effects& fx) {
  observe(now);
  requests_.remove(connection);
  const auto session = sessions_.find(connection);
  if (session == sessions_.end()) return;
  const auto member = session->second.member;
  if (!member && waiting_.joinOf(connection)) lostApproach(session->second, fx);
  waiting_.remove(connection);
  const std::string host = std::move(session->second.host);
  sessions_.erase(session);
  if (!member) return;
  const topo::Member gone = tree().member(*member);
  fx.note(host, fmt::format("{} is gone", gone.id.text()));
  if (!isTunnelled(connection)) noteGone(*member, Duration(0), fx);
  lost(*member, now, fx);
  // Only an endpoint on the peer's own source host is probed.
  if (gone.endpoint.host == host) fx.probes.push_back({gone.id, gone.endpoint, true});
}

void Registry::received(ConnectionId connection, const wire::RegistryRequest& request,
                        TimePoint now, Effects& fx) {
  observe(now);
  const auto session = sessions_.find(connection);
  if (session == sessions_.end()) return;
  if (isTunnelled(connection)) return carryOut(connection, request, now, fx);
  const std::string& host = session->second.host;
  const auto& member = session->second.member;
  const PeerId* id = member ? &tree().member(*member).id : nullptr;
  if (requests_.admit({connection, host, id}, request, now, fx)) {
    carryOut(connection, request, now, fx);
  }
}

void Registry::carryOut(ConnectionId connection, const wire::RegistryRequest& request,
                        TimePoint now, Effects& fx) {
  const auto session = sessions_.find(connection);
  if (session == sessions_.end()) return;
  const auto member = session->second.member;
  if (member) directory_.record(*member).heard = now;
  if (const auto* wanted = std::get_if<wire::Join>(&request)) {
    return join(connection, *wanted, now, fx);
  }
  if (const auto* wanted = std::get_if<wire::TopologyRequest>(&request)) {
    wire::Topology topology;
    topology.entries = seen_.entries(*wanted, limits::kFrameBytes * 3 / 4, topology.more);
    topology.number = wanted->number;
    fx.sends.push_back({connection, std::move(topology)});
    return;
  }
  if (const auto* wanted = std::get_if<wire::MembersRequest>(&request)) {
    wire::Members count = members();
    count.number = wanted->number;
    fx.sends.push_back({connection, count});
    return;
  }
  if (std::holds_alternative<wire::RegistryHeartbeat>(request)) {
    if (member) directory_.record(*member).heartbeat = heartbeatInterval();
    fx.sends.push_back({connection, wire::RegistryHeartbeatReply{heartbeatInterval()}});
    return;
  }
  if (!member) return refuse(connection, "join first", fx);
  const PeerId id = tree().member(*member).id;
  const auto movedBefore = tree().moved();
  if (const auto* taken = std::get_if<wire::PortTaken>(&request)) {
    portTaken(*member, taken->port, now, fx);
  } else if (const auto* links = std::get_if<wire::Links>(&request)) {
    if (placement_.report(*member, links->parent, links->neighbours, now)) {
      changed(fx);
      noteAttached(*member, now);
      for (const Node child : tree().children(*member)) noteAttached(child, now);
    }
    auto strangers = directory_.strangersBeside(*member, links->number, now);
    if (strangers) fx.sends.push_back({connection, *std::move(strangers)});
  } else if (const auto* seek = std::get_if<wire::Seek>(&request)) {
    // While absent members are awaited the tree is incomplete: the seeker asks again.
    if (!awaiting()) fx.sends.push_back({connection, placement_.referralFor(*member, *seek, now)});
  } else if (const auto* rating = std::get_if<wire::Rate>(&request)) {
    rate(*member, *rating, fx);
  } else if (const auto* asked = std::get_if<wire::StatisticsRequest>(&request)) {
    fx.statistics.push_back({connection, *asked});
  } else if (auto rooms = roomsAsked(request)) {
    fx.rooms.push_back({connection, *std::move(rooms)});
  } else if (std::holds_alternative<wire::Quit>(request)) {
    if (!isTunnelled(connection)) {
      fx.sessions.emplace_back(session::Left{tree().member(*member).order});
    }
    fx.note(session->second.host, tree().member(*member).id.text() + " left");
    session->second.member.reset();
    remove(*member, now, fx);
    fx.closes.push_back(connection);
  }
  requests_.moved(id, tree().moved() - movedBefore, now);
}

void Registry::refuse(ConnectionId connection, std::string why, Effects& fx, Refusal kind) {
  ++refused_;
  if (kind == Refusal::noRoom) lostApproach(sessions_[connection], fx);
  fx.sends.push_back(
      {connection, wire::Failure{ErrorCode::refused, std::move(why), kind == Refusal::idTaken,
                                 kind == Refusal::noRoom}});
}

// --- joining ---

void Registry::join(ConnectionId connection, const wire::Join& join, TimePoint now, Effects& fx,
                    bool isKnown) {
  Session& asking = sessions_[connection];
  if (asking.member) return refuse(connection, "this peer has joined already", fx);
  if (!isTunnelled(connection)) approached(asking, join, fx);
  if (join.word != joinWord_) {
    fx.sends.push_back({connection, wire::WordRefused{joinWord_}});
    return;
  }
  if (auto why = whyIdIsRefused(join.id)) return refuse(connection, *std::move(why), fx);
  if (auto why = whyIdIsTaken(connection, join)) {
    // Whether one that is away comes back is known soon.
    return refuse(connection, *std::move(why) + ": choose another id", fx,
                  isAway(join.id) ? Refusal::other : Refusal::idTaken);
  }
  // The same instance waits already, on a connection that is dead.
  if (const auto other = waiting_.connectionOf(join.id); other && *other != connection) {
    fx.closes.push_back(*other);
    waiting_.remove(*other);
  }
  const MemberSession goesOn = sessionOf(join, now);
  const bool returns = directory_.returns(join, isKnown, now);
  if (!returns) {
    directory_.absent().startedAnew(join.id, join.key);
    if (awaitUntil_ != kNever && !awaiting()) {  // it was the last one: waiting joiners go first
      waiting_.remove(connection);
      endWaiting(now, fx);
    }
  }
  if (!returns && directory_.newcomersWait(now)) return wait(connection, join, now, fx);
  waiting_.remove(connection);
  forgetFormer(join, now, fx);
  const auto there = tree().find(join.id);
  if (there && takePlaceOf(*there, connection, join, returns, isKnown, now, fx)) return;
  admit(connection, join, returns, returns ? goesOn : MemberSession{join.since}, now, fx);
}

// The refusal of a joiner whose id another instance has, or has requested.
std::optional<std::string> Registry::whyIdIsTaken(ConnectionId connection,
                                                  const wire::Join& join) const {
  if (auto why = directory_.whyIdIsTaken(join)) return why;
  const auto other = waiting_.connectionOf(join.id);
  if (!other || *other == connection || waiting_.keyOf(*other) == join.key) return std::nullopt;
  return fmt::format("{} waits already to be let in", join.id.text());
}

void Registry::admit(ConnectionId connection, const wire::Join& join, bool returns,
                     const MemberSession& goesOn, TimePoint now, Effects& fx) {
  if (size() >= membersMost_) {
    return refuse(connection, "every metaserver of this network is full", fx, Refusal::noRoom);
  }
  if (!returns && !directory_.isOrderLeft()) {
    return refuse(connection, "this network has no order of joining left for newcomers", fx,
                  Refusal::noRoom);
  }
  Session& session = sessions_[connection];
  const Account address = budget_.account(Payer::host(session.host));
  Hold place(address, limits::Held::members);
  if (!place.resize(1)) {
    return refuse(connection, "too many peers of " + address.payer().text() + " are members", fx,
                  Refusal::noRoom);
  }
  Endpoint endpoint = join.listen;
  if (endpoint.host.empty()) endpoint.host = session.host;
  if (auto why = whyHostIsRefused(endpoint.host, session.host)) {
    return refuse(connection, *std::move(why), fx);
  }
  if (endpoint.port == 0) {
    const auto port = ports_.next(endpoint.host);
    if (!port) {
      return refuse(connection, "no port is left for this host", fx, Refusal::noRoom);
    }
    endpoint.port = *port;
  }
  const JoinOrder order = directory_.giveOrder(join, returns, now);
  const auto heartbeat = heartbeatInterval();
  const Node node = seen_.add({join.id, order, std::move(endpoint)}, join.instance);
  directory_.add(
      node, {join.key, 0, join.generation, connection, now, heartbeat, std::move(place), goesOn});
  ports_.take(node);
  watchSilence(node, now);
  session.member = node;
  joined_ += returns ? 0 : 1;
  fx.members.push_back({join.id, true});

  wire::Referral referral = attach(node, join, returns, now);
  changed(fx);
  const auto contact = seen_.contact(node);
  fx.note(session.host,
          returns ? fmt::format("{} is back on {}", contact.id.text(), contact.endpoint.text())
          : referral.kind == wire::Referral::Kind::below
              ? fmt::format("{} joined on {}, referred to {}", contact.id.text(),
                            contact.endpoint.text(), referral.parent.id.text())
              : fmt::format("{} joined on {}, the first peer", contact.id.text(),
                            contact.endpoint.text()));
  if (!isTunnelled(connection)) noteHere(session, node, join, fx);
  fx.sends.push_back({connection, admitted(node, std::move(referral))});
  if (awaitUntil_ != kNever && !awaiting()) endWaiting(now, fx);
}

// A newcomer gets a referral. A peer that returns keeps its links, and gets one if it is an orphan.
wire::Referral Registry::attach(Node node, const wire::Join& join, bool returns, TimePoint now) {
  if (!returns) {
    placement_.report(node, std::nullopt, {}, now);
    return placement_.referralFor(node, {}, now);
  }
  placement_.report(node, join.parent, join.neighbours, now);
  for (const auto& neighbour : seen_.reported(node).neighbours) {
    const auto other = tree().find(neighbour);
    if (other && seen_.reported(*other).parent == join.id) seen_.restore(*other);
  }
  if (join.parent || awaiting()) return {};
  return placement_.referralFor(node, {}, now);
}

void Registry::portTaken(Node node, std::uint16_t port, TimePoint now, Effects& fx) {
  const Endpoint endpoint = tree().member(node).endpoint;
  if (endpoint.port != port) return;  // it has been assigned another one
  const ConnectionId connection = directory_.record(node).connection;
  const auto other = ports_.next(endpoint.host);
  if (!other) return refuse(connection, "no port is left for this host", fx);
  ports_.release(node);
  seen_.setPort(node, *other);
  ports_.take(node);
  changed(fx);
  fx.sends.push_back({connection, admitted(node, placement_.referralFor(node, {}, now))});
  for (const Node child : tree().children(node)) {
    if (seen_.isReserved(child)) tell({{child, placement_.below(node)}}, fx);
  }
}

// --- leaving ---

void Registry::lost(Node node, TimePoint now, Effects& fx) {
  directory_.becameAbsent(node, now);
  remove(node, now, fx);
}

void Registry::remove(Node node, TimePoint now, Effects& fx) {
  fx.members.push_back({tree().member(node).id, false});
  ports_.release(node);
  directory_.remove(node);
  ++lost_;
  const auto children = tree().children(node);
  const std::vector<Node> orphans(children.begin(), children.end());
  for (const Node orphan : orphans) heals_.orphaned(orphan, now);
  heals_.forget(node);
  tell(placement_.remove(node, now), fx);
  for (const Node orphan : orphans) noteAttached(orphan, now);      // it was faster than this news
  if (const auto root = tree().oldestRoot()) heals_.forget(*root);  // the heir of a root
  changed(fx);
}

// Both ends of a link report it, in either order.
void Registry::noteAttached(Node node, TimePoint now) {
  if (tree().parent(node) && !seen_.isReserved(node)) heals_.attached(node, now);
}

void Registry::tell(const std::vector<Placement::Told>& told, Effects& fx) const {
  for (const auto& one : told) {
    const ConnectionId connection = directory_.record(one.node).connection;
    if (connection != kNoConnection) fx.sends.push_back({connection, one.referral});
  }
}

// --- time ---

void Registry::observe(TimePoint now) {
  // tick() is called at least every heartbeat interval. A longer gap: this process stood still.
  if (now - now_ > limits::kHeartbeatInterval + limits::kStall) {
    judgeFrom_ = now + 3 * heartbeatInterval();
  }
  now_ = now;
}

TimePoint Registry::deadline() const {
  const TimePoint first = std::min(tickAt_, requests_.deadline());
  return waiting_.empty() || awaiting() ? std::min(first, awaitUntil_)
                                        : std::min(first, directory_.newcomersFrom());
}

void Registry::tick(TimePoint now, Effects& fx) {
  observe(now);
  if (now >= awaitUntil_ || (!waiting_.empty() && !directory_.newcomersWait(now))) {
    endWaiting(now, fx);
  }
  while (const auto due = requests_.takeDue(now, fx)) {
    carryOut(due->connection, due->request, now, fx);
  }
  if (now < tickAt_) return;
  tickAt_ = now + limits::kHeartbeatInterval / 2;
  directory_.expire(now);
  judgeSilence(now, fx);
  judgeAway(now, fx);
  if (!awaiting()) tell(placement_.tick(now), fx);
}

// --- queries ---

void Registry::changed(Effects& fx) {
  if (!awaiting()) newVersion(fx);
}

void Registry::newVersion(Effects& fx) {
  ++version_;
  if (fx.persists.empty()) fx.persists.push_back({Persist::Durability::behind});
}

wire::Members Registry::members() const {
  return {size() + awaitedCount(), JoinOrder{number(nextOrder()) - 1}};
}

Result<void> Registry::checkInvariants() const {
  if (auto sound = placement_.check(); !sound) return sound;
  for (const auto& [order, node] : seen_.byOrder()) {
    const auto& id = tree().member(node).id.text();
    if (order >= nextOrder() || directory_.absent().hasOrder(order)) {
      return Error{ErrorCode::failed, fmt::format("{}: its order may be given again", id)};
    }
    if (!ports_.hasTaken(node)) {
      return Error{ErrorCode::failed, fmt::format("{}: its port is not taken", id)};
    }
    if (directory_.record(node).connection == kNoConnection) {
      if (auto sound = checkAway(node); !sound) return sound;
      continue;
    }
    const auto session = sessions_.find(directory_.record(node).connection);
    if (session == sessions_.end() || session->second.member != node) {
      return Error{ErrorCode::failed, fmt::format("{}: its connection is not its own", id)};
    }
  }
  return {};
}

}  // namespace espalier::metaserver
