#include "peer/shell/network_topology.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "common/base/limits.h"
#include "common/whatif/kill_plan.h"
#include "topo/dot.h"
#include "topo/forest.h"

namespace espalier::peer::shell {
namespace {

using namespace std::chrono_literals;

constexpr auto kGuestPatience = 1s;  // for the metaserver's Welcome, and for each before it
// A member may be known to the metaserver and not yet to this peer's tree.
constexpr auto kRecount = 5s;

// The snapshot as a tree. Links that do not fit are left out: a snapshot is taken while links
// change.
topo::Forest treeOf(const std::vector<wire::TopologyEntry>& entries, unsigned maxLinks) {
  topo::Forest tree(maxLinks);
  std::unordered_map<PeerId, const wire::TopologyEntry*> known;
  for (const auto& entry : entries) {
    if (!known.emplace(entry.member.id, &entry).second) continue;
    tree.add({entry.member.id, entry.member.order, entry.member.endpoint});
  }
  for (const auto& entry : entries) {
    const auto parent = tree.find(entry.member.id);
    for (const auto& neighbour : entry.neighbours) {
      const auto child = known.find(neighbour);
      if (child == known.end() || child->second->parent != entry.member.id) continue;
      (void)tree.link(*tree.find(neighbour), *parent);
    }
  }
  return tree;
}

}  // namespace

// Before this peer has joined. A metaserver that does not answer in time is an error of the
// question that follows.
Result<void> NetworkTopology::connectAsGuest(const std::stop_token& stop) {
  EventBus::Subscription events(runtime_.events(), kindsOf<MetaserverGreeted, MetaserverLost>());
  const auto dialled = runtime_.network().call([](Peer& peer, TimePoint now, Effects& fx) {
    peer.connect(now, fx);
    const auto& session = peer.membership().session();
    return session.greeted() ? std::size_t{0} : session.metaservers().size();
  });
  if (!dialled) return dialled.error();
  if (*dialled == 0) return {};
  const auto others = static_cast<int>(*dialled - 1);
  (void)events.next(stop, Clock::now() + kGuestPatience + others * limits::kConnectTimeout);
  return {};
}

Result<command::Topology> NetworkTopology::topology(std::stop_token stop) {
  if (!runtime_.joined()) {
    if (auto connected = connectAsGuest(stop); !connected) return connected.error();
  }
  const auto begun = std::chrono::system_clock::now();
  const auto now = store_.current(stop);
  if (!now) return now.error();
  command::Topology topology;
  for (const auto& entry : now->entries) {
    topology.peers.push_back({entry.member.id, entry.member.endpoint, entry.neighbours});
  }
  if (now->at < begun) topology.asOf = now->at;
  return topology;
}

Result<std::string> NetworkTopology::topologyDot(std::stop_token stop) {
  const auto now = store_.current(stop);
  if (!now) return now.error();
  std::vector<topo::TopoLine> lines;
  for (const auto& entry : now->entries) lines.push_back({entry.member.id, entry.neighbours});
  return topo::toDot(lines);
}

Result<command::KillPlan> NetworkTopology::whatIfKilled(const PeerId& id, std::stop_token stop) {
  const auto begun = std::chrono::system_clock::now();
  const auto now = store_.current(stop);
  if (!now) return now.error();
  const auto maxLinks = runtime_.network().call([](Peer& peer, TimePoint, Effects&) {
    return peer.tree() != nullptr ? peer.tree()->maxLinks() : limits::kMaxLinks;
  });
  if (!maxLinks) return maxLinks.error();
  auto plan = whatif::killPlan(treeOf(now->entries, *maxLinks), id);
  if (plan && now->at < begun) plan->asOf = now->at;
  return plan;
}

Result<std::vector<LinkedPeer>> NetworkTopology::links() {
  return runtime_.network().call([](Peer& peer, TimePoint, Effects&) {
    std::vector<LinkedPeer> links;
    if (peer.tree() == nullptr) return links;
    const auto& parent = peer.tree()->parent();
    for (const auto& neighbour : peer.tree()->neighbours()) {
      const bool above = parent && parent->connection == neighbour.connection;
      links.push_back({neighbour.contact.id, above ? Role::parent : Role::child});
    }
    return links;
  });
}

Result<void> NetworkTopology::awaitMembers(std::uint64_t total, std::stop_token stop,
                                           const OnCount& onCount) {
  EventBus::Subscription events(runtime_.events(), kindsOf<MembersChanged, MetaserverBack>());
  std::uint64_t told = 0;
  while (!stop.stop_requested()) {
    if (const auto members = runtime_.metaserver().members(stop)) {
      if (members->count != told && onCount) onCount(members->count);
      told = members->count;
      if (told >= total) return {};
    }
    (void)events.next(stop, Clock::now() + kRecount);
  }
  return Error{ErrorCode::interrupted, "interrupted"};
}

std::vector<std::string> NetworkTopology::knownPeers(const std::string& prefix) {
  std::vector<std::string> peers;
  const auto snapshot = store_.last();
  if (!snapshot) return peers;
  for (const auto& entry : snapshot->entries) {
    const auto& id = entry.member.id.text();
    if (id.starts_with(prefix) && peers.size() <= limits::kCompletions) peers.push_back(id);
  }
  return peers;
}

}  // namespace espalier::peer::shell
