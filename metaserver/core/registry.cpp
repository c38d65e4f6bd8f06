#include "metaserver/core/registry.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/membership_limits.h"
#include "common/base/text.h"
#include "topo/dot.h"

namespace espalier::metaserver {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kNeighbourBytes = 8;  // of a topology entry's frame, beside the texts

}  // namespace

Registry::Registry(Options options, TimePoint now, Effects& fx)
    : options_(std::move(options)),
      tree_(options_.maxLinks),
      nextPort_(options_.firstPort),
      unwrittenFrom_(options_.nextOrder),
      unwrittenEnd_{number(options_.nextOrder) + limits::kOrdersUnwritten},
      // A network that begins here has given no orders yet.
      unwrittenUntil_(number(options_.nextOrder) > 1 ? now + limits::kUnwrittenBelieved
                                                     : TimePoint::min()),
      reconcileAt_(now + limits::kHeartbeatInterval),
      seen_(now) {
  if (options_.placement == topo::Rule::nearest) tree_.indexAddresses();
  for (auto& before : options_.before) {
    fx.probes.push_back({before.id, before.endpoint});
    absent_.add(std::move(before), AbsentMembers::Why::restart, now + limits::kRejoinWait, now);
  }
  options_.before.clear();
  if (awaiting()) awaitUntil_ = now + limits::kRejoinWait;
}

void Registry::opened(ConnectionId connection, std::string host, TimePoint now) {
  observe(now);
  sessions_[connection].host = std::move(host);
}

void Registry::closed(ConnectionId connection, TimePoint now, Effects& fx) {
  observe(now);
  const auto session = sessions_.find(connection);
  if (session == sessions_.end()) return;
  const auto member = session->second.member;
  stopWaiting(connection);
  const std::string host = std::move(session->second.host);
  sessions_.erase(session);
  if (!member) return;
  const wire::Contact gone = record(*member).contact;
  fx.notices.push_back(fmt::format("{} is gone", gone.id.text()));
  lost(*member, now, fx);
  // Whether it lives on is asked only where it has come from itself.
  if (gone.endpoint.host == host) fx.probes.push_back({gone.id, gone.endpoint, true});
}

void Registry::received(ConnectionId connection, const wire::RegistryRequest& request,
                        TimePoint now, Effects& fx) {
  observe(now);
  const auto session = sessions_.find(connection);
  if (session == sessions_.end()) return;
  if (session->second.member) record(*session->second.member).heard = now;
  if (const auto* wanted = std::get_if<wire::Join>(&request)) {
    return join(connection, *wanted, now, fx);
  }
  if (const auto* wanted = std::get_if<wire::TopologyRequest>(&request)) {
    wire::Topology topology;
    topology.entries = entries(wanted->after, limits::kFrameBytes * 3 / 4, topology.more);
    fx.sends.push_back({connection, std::move(topology)});
    return;
  }
  if (std::holds_alternative<wire::MembersRequest>(request)) {
    fx.sends.push_back({connection, members()});
    return;
  }
  const auto member = session->second.member;
  if (std::holds_alternative<wire::RegistryHeartbeat>(request)) {
    if (member) record(*member).heartbeat = heartbeatInterval();
    fx.sends.push_back({connection, wire::RegistryHeartbeatReply{heartbeatInterval()}});
    return;
  }
  if (!member) return refuse(connection, "join first", fx);
  if (const auto* taken = std::get_if<wire::PortTaken>(&request)) {
    portTaken(*member, taken->port, now, fx);
  } else if (const auto* links = std::get_if<wire::Links>(&request)) {
    reported(*member, *links, now);
  } else if (const auto* seek = std::get_if<wire::Seek>(&request)) {
    // While the peers of before come back the snapshot has holes: the seeker asks again.
    if (!awaiting()) fx.sends.push_back({connection, referralFor(*member, *seek, now)});
  } else if (std::holds_alternative<wire::Quit>(request)) {
    fx.notices.push_back(fmt::format("{} left", record(*member).contact.id.text()));
    session->second.member.reset();
    remove(*member, now, fx);
    fx.closes.push_back(connection);
  }
}

void Registry::refuse(ConnectionId connection, std::string why, Effects& fx) {
  ++refused_;
  fx.sends.push_back({connection, wire::Failure{ErrorCode::refused, std::move(why)}});
}

// --- time ---

std::chrono::milliseconds Registry::heartbeatInterval() const {
  // A metaserver with very many peers has better things to do than to answer 7,500 heartbeats a
  // second.
  constexpr std::size_t kHeartbeatsPerSecond = 5000;
  const std::chrono::milliseconds spread{size() * 1000 / kHeartbeatsPerSecond};
  return std::clamp<std::chrono::milliseconds>(spread, limits::kHeartbeatInterval, 30s);
}

void Registry::observe(TimePoint now) {
  // tick() comes at least every heartbeat interval: after a longer gap it was this process that
  // stood still.
  if (now - seen_ > limits::kHeartbeatInterval + limits::kStall) {
    judgeFrom_ = now + 3 * heartbeatInterval();
  }
  seen_ = now;
}

TimePoint Registry::deadline() const {
  return waiting_.empty() || awaiting() ? std::min(reconcileAt_, awaitUntil_)
                                        : std::min(reconcileAt_, newcomersFrom_);
}

void Registry::tick(TimePoint now, Effects& fx) {
  observe(now);
  if (now >= awaitUntil_ || (!waiting_.empty() && !newcomersWait(now))) endWaiting(now, fx);
  if (now < reconcileAt_) return;
  reconcileAt_ = now + limits::kHeartbeatInterval / 2;
  absent_.expire(now);
  if (now >= unwrittenUntil_) unwrittenTaken_.clear();
  judgeSilence(now, fx);
  if (!awaiting()) reconcile(now, fx);
}

void Registry::judgeSilence(TimePoint now, Effects& fx) {
  while (!silence_.empty() && silence_.front().at <= now) {
    const Due due = silence_.front();
    silence_.pop_front();
    if (!tree_.isMember(due.node) || record(due.node).admission != due.admission) continue;
    const auto& member = record(due.node);
    const TimePoint silentAt = std::max<TimePoint>(
        member.heard + 3 * std::max(member.heartbeat, heartbeatInterval()), judgeFrom_);
    if (silentAt > now) {
      silence_.push_back({silentAt, due.node, due.admission});
      continue;
    }
    fx.notices.push_back(fmt::format("{} has fallen silent", member.contact.id.text()));
    const ConnectionId connection = member.connection;
    sessions_.erase(connection);
    fx.closes.push_back(connection);
    lost(due.node, now, fx);
  }
}

// --- what others look at ---

// A member that cannot say goodbye may live on with its links, and come back as it was.
void Registry::lost(Node node, TimePoint now, Effects& fx) {
  const Record& member = record(node);
  absent_.add({member.contact.id, member.key, member.contact.order, member.contact.endpoint},
              AbsentMembers::Why::lost, now + limits::kRejoinWait, now);
  remove(node, now, fx);
}

bool Registry::mutual(const Record& from, const PeerId& to) const {
  const auto other = tree_.find(to);
  if (!other) return false;
  const auto& back = record(*other).neighbours;
  return std::find(back.begin(), back.end(), from.contact.id) != back.end();
}

std::vector<topo::TopoLine> Registry::lines() const {
  std::vector<topo::TopoLine> lines;
  lines.reserve(byOrder_.size());
  for (const auto& [order, node] : byOrder_) {
    const Record& member = record(node);
    topo::TopoLine line{member.contact.id, {}};
    for (const auto& neighbour : member.neighbours) {
      if (mutual(member, neighbour)) line.neighbours.push_back(neighbour);
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

wire::Members Registry::members() const {
  return {size() + absent_.awaitedCount(), JoinOrder{number(options_.nextOrder) - 1}};
}

std::vector<Remembered> Registry::remembered() const {
  std::vector<Remembered> remembered;
  remembered.reserve(byOrder_.size());
  for (const auto& [order, node] : byOrder_) {
    const Record& member = record(node);
    remembered.push_back({member.contact.id, member.key, order, member.contact.endpoint});
  }
  const std::size_t room = limits::kMembers - std::min<std::size_t>(size(), limits::kMembers);
  const auto absent = absent_.lostLately(room, seen_);
  const auto middle = remembered.insert(remembered.end(), absent.begin(), absent.end());
  std::inplace_merge(remembered.begin(), middle, remembered.end(),
                     [](const auto& a, const auto& b) { return a.order < b.order; });
  return remembered;
}

std::vector<wire::TopologyEntry> Registry::entries(JoinOrder after, std::size_t mostBytes,
                                                   bool& more) const {
  std::vector<wire::TopologyEntry> entries;
  std::size_t bytes = 0;
  auto next = byOrder_.upper_bound(after);
  for (; next != byOrder_.end(); ++next) {
    const Record& member = record(next->second);
    wire::TopologyEntry entry{member.contact, std::nullopt, {}};
    std::size_t entryBytes = member.contact.id.text().size() + limits::kHostBytes + 64;
    for (const auto& neighbour : member.neighbours) {
      if (!mutual(member, neighbour)) continue;
      if (member.parent == neighbour) entry.parent = neighbour;
      entryBytes += neighbour.text().size() + kNeighbourBytes;
      entry.neighbours.push_back(neighbour);
    }
    if (bytes + entryBytes > mostBytes && !entries.empty()) break;
    bytes += entryBytes;
    entries.push_back(std::move(entry));
  }
  more = next != byOrder_.end();
  return entries;
}

}  // namespace espalier::metaserver
