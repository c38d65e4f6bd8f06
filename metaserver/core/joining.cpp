// How peers come into the registry: newcomers, and those of before a restart.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "metaserver/core/registry.h"

namespace espalier::metaserver {

void Registry::join(ConnectionId connection, const wire::Join& join, TimePoint now, Effects& fx) {
  if (sessions_[connection].member) return refuse(connection, "this peer has joined already", fx);
  if (join.word != options_.joinWord) {
    fx.sends.push_back({connection, wire::WordRefused{options_.joinWord}});
    return;
  }
  const bool again = mayReturn(join);
  if (awaiting() && !again) {
    if (waiting_.size() >= limits::kConnections) return refuse(connection, "too many wait", fx);
    std::erase_if(waiting_, [&](const Waiting& w) { return w.connection == connection; });
    waiting_.push_back({connection, join});
    fx.sends.push_back({connection, wire::Wait{fmt::format(
                                        "the metaserver was restarted and waits for {} of before",
                                        counted(awaited_.size(), "peer"))}});
    return;
  }
  if (const auto ghost = tree_.find(join.id)) {
    if (record(*ghost).key != join.key) {
      return refuse(connection,
                    fmt::format("{} is in the network already, on {}: choose another id",
                                join.id.text(), record(*ghost).contact.endpoint.text()),
                    fx);
    }
    // The same instance comes again: its old connection is dead, though nobody has noticed.
    const ConnectionId old = record(*ghost).connection;
    sessions_.erase(old);
    fx.closes.push_back(old);
    remove(*ghost, now, fx);
  }
  admit(connection, join, again, now, fx);
}

// Whether this peer was in this very network before, and is to come back as it was.
bool Registry::mayReturn(const wire::Join& join) {
  if (join.network.isZero() || join.order == kNoOrder) return false;
  if (join.network != options_.network) {
    // A metaserver that has lost its state takes up the network of the first peer that comes back.
    if (size() > 0 || number(options_.nextOrder) > 1) return false;
    options_.network = join.network;
  }
  const auto holder = byOrder_.find(join.order);
  if (holder != byOrder_.end() && record(holder->second).contact.id != join.id) return false;
  return number(join.order) < number(options_.nextOrder) + limits::kMembers;
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
  member.key = join.key;
  member.connection = connection;
  member.heard = now;
  member.beat = beatInterval();
  if (again) member.neighbours = join.neighbours;

  const Node node = tree_.add({join.id, member.contact.order, member.contact.endpoint});
  if (records_.size() <= topo::number(node)) records_.resize(topo::number(node) + 1);
  byOrder_.emplace_hint(byOrder_.end(), member.contact.order, node);  // newcomers come last
  silence_.push_back({now + 3 * member.beat, node, member.contact.order});
  session.member = node;
  record(node) = std::move(member);
  takePort(node);
  setParent(node, again ? join.parent : std::nullopt, now);

  wire::Place place;
  if (again) {
    settle(node);
    for (const auto& neighbour : record(node).neighbours) {
      const auto other = tree_.find(neighbour);
      if (other && record(*other).parent == join.id) settle(*other);
    }
    awaited_.erase(join.id);
    if (!record(node).parent && !awaiting()) place = placeFor(node, {}, now);
  } else {
    place = placeFor(node, {}, now);
  }
  if (!awaiting()) changed();
  const auto& contact = record(node).contact;
  fx.notices.push_back(
      again ? fmt::format("{} is back on {}", contact.id.text(), contact.endpoint.text())
      : place.kind == wire::Place::Kind::below
          ? fmt::format("{} joined on {}, referred to {}", contact.id.text(),
                        contact.endpoint.text(), place.parent.id.text())
          : fmt::format("{} joined on {}, the first peer", contact.id.text(),
                        contact.endpoint.text()));
  fx.sends.push_back({connection, wire::Admitted{options_.network, contact, options_.maxLinks,
                                                 beatInterval(), size(), std::move(place)}});
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
  if (!awaiting()) changed();
  fx.sends.push_back(
      {member.connection, wire::Admitted{options_.network, member.contact, options_.maxLinks,
                                         beatInterval(), size(), placeFor(node, {}, now)}});
  for (const Node child : tree_.children(node)) {
    if (record(child).reserved) fx.sends.push_back({record(child).connection, below(node)});
  }
}

void Registry::probed(const PeerId& id, bool listening, TimePoint now, Effects& fx) {
  observe(now);
  if (listening || awaited_.erase(id) == 0) return;
  fx.notices.push_back(fmt::format("{} of before is gone", id.text()));
  if (!awaiting()) endWaiting(now, fx);
}

// Everybody of before is back, or has had the time for it: now newcomers may join.
void Registry::endWaiting(TimePoint now, Effects& fx) {
  awaitUntil_ = kNever;
  awaited_.clear();
  changed();
  while (!waiting_.empty()) {
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    join(next.connection, next.join, now, fx);
  }
}

}  // namespace espalier::metaserver
