// How peers come into the registry: newcomers, and those of before a restart.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/membership_limits.h"
#include "common/base/text.h"
#include "metaserver/core/registry.h"

namespace espalier::metaserver {

void Registry::join(ConnectionId connection, const wire::Join& join, TimePoint now, Effects& fx) {
  if (sessions_[connection].member) return refuse(connection, "this peer has joined already", fx);
  if (join.word != options_.joinWord) {
    fx.sends.push_back({connection, wire::WordRefused{options_.joinWord}});
    return;
  }
  if (auto why = whyIdIsTaken(connection, join, now)) {
    return refuse(connection, *std::move(why) + ": choose another id", fx);
  }
  // The same instance waits already, on a connection that is dead.
  if (const auto other = waitingIds_.find(join.id);
      other != waitingIds_.end() && other->second != connection) {
    fx.closes.push_back(other->second);
    stopWaiting(other->second);
  }
  const bool again = returns(join, now);
  if (!again) {
    absent_.startedAnew(join.id, join.key);
    if (awaitUntil_ != kNever && !awaiting()) {  // it was the last: those that wait came before it
      stopWaiting(connection);
      endWaiting(now, fx);
    }
  }
  if (!again && newcomersWait(now)) return wait(connection, join, fx);
  stopWaiting(connection);
  if (const auto ghost = tree_.find(join.id)) {
    // The same instance comes again: its old connection is dead, though nobody has noticed.
    const ConnectionId old = record(*ghost).connection;
    sessions_.erase(old);
    fx.closes.push_back(old);
    remove(*ghost, now, fx);
  }
  admit(connection, join, again, now, fx);
}

// The sentence for a peer that shows another key than the one that has this id.
std::optional<std::string> Registry::whyIdIsTaken(ConnectionId connection, const wire::Join& join,
                                                  TimePoint now) const {
  if (const auto there = tree_.find(join.id)) {
    const Record& member = record(*there);
    if (member.key == join.key) return std::nullopt;
    return fmt::format("{} is in the network already, on {}", join.id.text(),
                       member.contact.endpoint.text());
  }
  if (const auto* holder = absent_.holder(join.id, now); holder != nullptr) {
    if (holder->key == join.key) return std::nullopt;
    return fmt::format("{} is in the network already, on {}, and is waited for", join.id.text(),
                       holder->endpoint.text());
  }
  const auto other = waitingIds_.find(join.id);
  if (other == waitingIds_.end() || other->second == connection) return std::nullopt;
  const auto& waiting = sessions_.at(other->second).waiting;
  if (waiting->key == join.key) return std::nullopt;
  return fmt::format("{} waits already to be let in", join.id.text());
}

// Whether this peer was in this very network before, and is to come back as it was. Its id is free,
// or its own.
bool Registry::returns(const wire::Join& join, TimePoint now) {
  if (join.network.isZero() || join.order == kNoOrder) return false;
  if (join.network != options_.network) {
    // A metaserver that has lost its state takes up the network of the first peer that comes back.
    const bool lostState = size() == 0 && absent_.size() == 0 && number(options_.nextOrder) == 1;
    if (!lostState || number(join.order) > limits::kMembers) return false;
    options_.network = join.network;
    unwrittenFrom_ = JoinOrder{1};
    unwrittenEnd_ = JoinOrder{limits::kMembers + 1};
    unwrittenUntil_ = now + limits::kUnwrittenBelieved;
    newcomersFrom_ = now + limits::kRejoinWait;
  }
  if (const auto there = tree_.find(join.id)) return record(*there).contact.order == join.order;
  return absent_.take(join.id, join.key, join.order) || isBelieved(join.order, now);
}

// An order that this metaserver did not know when it started, and that nobody has shown yet.
bool Registry::isBelieved(JoinOrder order, TimePoint now) const {
  return now < unwrittenUntil_ && order >= unwrittenFrom_ && order < unwrittenEnd_ &&
         !unwrittenTaken_.contains(order) && !byOrder_.contains(order) && !absent_.hasOrder(order);
}

void Registry::wait(ConnectionId connection, const wire::Join& join, Effects& fx) {
  Session& session = sessions_[connection];
  if (!session.waiting) {
    if (waitingIds_.size() >= limits::kConnections) {
      return refuse(connection, "too many wait", fx);
    }
    waiting_.push_back(connection);
  } else {
    waitingIds_.erase(session.waiting->id);
  }
  session.waiting = join;
  waitingIds_[join.id] = connection;
  const std::string whom = awaiting() ? counted(absent_.awaitedCount(), "peer") + " of before"
                                      : "the peers of the network that it has lost";
  fx.sends.push_back(
      {connection, wire::Wait{"the metaserver was restarted and waits for " + whom}});
}

void Registry::stopWaiting(ConnectionId connection) {
  Session& session = sessions_.at(connection);
  if (!session.waiting) return;
  waitingIds_.erase(session.waiting->id);
  session.waiting.reset();
}

void Registry::admit(ConnectionId connection, const wire::Join& join, bool again, TimePoint now,
                     Effects& fx) {
  if (size() >= limits::kMembers) return refuse(connection, "the network is full", fx);
  Session& session = sessions_[connection];
  Record member;
  member.contact.id = join.id;
  member.contact.endpoint.host = join.listen.host.empty() ? session.host : join.listen.host;
  member.contact.endpoint.port = join.listen.port;
  if (join.listen.port == 0) {
    const auto port = freePort(member.contact.endpoint.host);
    if (!port) return refuse(connection, "no port is left for this host", fx);
    member.contact.endpoint.port = *port;
  }
  member.contact.order = again ? join.order : options_.nextOrder;
  options_.nextOrder = std::max(options_.nextOrder, JoinOrder{number(member.contact.order) + 1});
  if (now < unwrittenUntil_ && member.contact.order < unwrittenEnd_) {
    unwrittenTaken_.insert(member.contact.order);
  }
  member.key = join.key;
  member.admission = ++admissions_;
  member.connection = connection;
  member.heard = now;
  member.heartbeat = heartbeatInterval();
  if (again) member.neighbours = linksOf(join.id, join.neighbours);

  const Node node = tree_.add({join.id, member.contact.order, member.contact.endpoint});
  if (records_.size() <= topo::number(node)) records_.resize(topo::number(node) + 1);
  byOrder_.emplace_hint(byOrder_.end(), member.contact.order, node);  // newcomers come last
  silence_.push_back({now + 3 * member.heartbeat, node, member.admission});
  session.member = node;
  record(node) = std::move(member);
  touch(node);
  takePort(node);
  setParent(node, again ? join.parent : std::nullopt, now);

  wire::Referral referral;
  if (again) {
    reconcileParent(node);
    for (const auto& neighbour : record(node).neighbours) {
      const auto other = tree_.find(neighbour);
      if (other && record(*other).parent == join.id) reconcileParent(*other);
    }
    if (!record(node).parent && !awaiting()) referral = referralFor(node, {}, now);
  } else {
    referral = referralFor(node, {}, now);
  }
  if (!awaiting()) changed();
  const auto& contact = record(node).contact;
  fx.notices.push_back(
      again ? fmt::format("{} is back on {}", contact.id.text(), contact.endpoint.text())
      : referral.kind == wire::Referral::Kind::below
          ? fmt::format("{} joined on {}, referred to {}", contact.id.text(),
                        contact.endpoint.text(), referral.parent.id.text())
          : fmt::format("{} joined on {}, the first peer", contact.id.text(),
                        contact.endpoint.text()));
  fx.sends.push_back(
      {connection, wire::Admitted{options_.network, contact, options_.maxLinks, heartbeatInterval(),
                                  size(), std::move(referral)}});
  if (awaitUntil_ != kNever && !awaiting()) endWaiting(now, fx);
}

bool Registry::isTaken(const std::string& host, std::uint16_t port) const {
  if (port >= atPort_.size()) return false;
  const auto& there = atPort_[port];
  return std::any_of(there.begin(), there.end(),
                     [&](Node node) { return record(node).contact.endpoint.host == host; });
}

void Registry::takePort(Node node) {
  const std::size_t port = record(node).contact.endpoint.port;
  if (port >= atPort_.size()) atPort_.resize(port + 1);
  atPort_[port].push_back(node);
}

void Registry::releasePort(Node node) {
  std::erase(atPort_[record(node).contact.endpoint.port], node);
}

// Ports count up from the first and wrap around; those taken on that host are skipped.
std::optional<std::uint16_t> Registry::freePort(const std::string& host) {
  const unsigned count = 65536u - options_.firstPort;
  for (unsigned tried = 0; tried < count; ++tried) {
    const std::uint16_t port = nextPort_;
    nextPort_ = port == 65535 ? options_.firstPort : static_cast<std::uint16_t>(port + 1);
    if (!isTaken(host, port)) return port;
  }
  return std::nullopt;
}

void Registry::portTaken(Node node, std::uint16_t port, TimePoint now, Effects& fx) {
  Record& member = record(node);
  if (member.contact.endpoint.port != port) return;  // it has another one by now
  const auto other = freePort(member.contact.endpoint.host);
  if (!other) return refuse(member.connection, "no port is left for this host", fx);
  releasePort(node);
  member.contact.endpoint.port = *other;
  takePort(node);
  tree_.setPort(node, *other);
  touch(node);
  if (!awaiting()) changed();
  fx.sends.push_back(
      {member.connection, wire::Admitted{options_.network, member.contact, options_.maxLinks,
                                         heartbeatInterval(), size(), referralFor(node, {}, now)}});
  for (const Node child : tree_.children(node)) {
    if (record(child).reserved) fx.sends.push_back({record(child).connection, below(node)});
  }
}

void Registry::probed(const PeerId& id, bool listening, TimePoint now, Effects& fx) {
  observe(now);
  const bool waited = awaiting();
  if (listening || !absent_.release(id) || !waited) return;
  fx.notices.push_back(fmt::format("{} of before is gone", id.text()));
  if (!awaiting()) endWaiting(now, fx);
}

// Everybody of before is back, or has had the time for it: now newcomers may join.
void Registry::endWaiting(TimePoint now, Effects& fx) {
  if (awaitUntil_ != kNever) changed();
  awaitUntil_ = kNever;
  absent_.stopAwaiting();
  // A joiner that names its port listens there, or will: it is in before that is given to another.
  std::stable_partition(waiting_.begin(), waiting_.end(), [&](ConnectionId connection) {
    const auto session = sessions_.find(connection);
    return session != sessions_.end() && session->second.waiting &&
           session->second.waiting->listen.port != 0;
  });
  while (!waiting_.empty() && !newcomersWait(now)) {
    const ConnectionId next = waiting_.front();
    waiting_.pop_front();
    const auto session = sessions_.find(next);
    if (session == sessions_.end() || !session->second.waiting) continue;
    const wire::Join wanted = *session->second.waiting;
    join(next, wanted, now, fx);
  }
}

}  // namespace espalier::metaserver
