// The part of Node that deals with the network: the metaserver's snapshot of it, links, state.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/whatif/kill_plan.h"
#include "peer/shell/node.h"
#include "topo/dot.h"
#include "topo/tree.h"

namespace espalier::peer::shell {
namespace {

using namespace std::chrono_literals;

constexpr auto kSnapshotDelay = 500ms;
constexpr std::size_t kSnapshotPeers = 256;  // peers; more would keep the metaserver busy

// The snapshot as a tree; links that do not fit (a snapshot is taken while things move) are left
// out.
topo::Tree treeOf(const std::vector<wire::TopologyEntry>& entries, unsigned maxLinks) {
  topo::Tree tree(maxLinks);
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

Result<wire::RegistryReply> Node::askMetaserver(wire::RegistryRequest request,
                                                std::stop_token stop) {
  struct Pending {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::optional<Result<wire::RegistryReply>> reply;
  };
  const auto pending = std::make_shared<Pending>();
  network_.post(
      [this, pending, request = std::move(request)](Peer&, TimePoint now, Effects& fx) mutable {
        network_.ask(
            std::move(request),
            [pending](Result<wire::RegistryReply> reply) {
              const std::lock_guard lock(pending->mutex);
              pending->reply = std::move(reply);
              pending->changed.notify_all();
            },
            now, fx);
      });
  std::unique_lock lock(pending->mutex);
  // A metaserver that falls silent is given up by the core after kSilence: then the answer is an
  // error.
  const bool answered = pending->changed.wait_for(lock, stop, 2 * limits::kSilence,
                                                  [&] { return pending->reply.has_value(); });
  if (answered) return *pending->reply;
  if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
  return Error{ErrorCode::unavailable, "the metaserver does not answer"};
}

Result<Node::TopologySnapshot> Node::fetchTopology(std::stop_token stop) {
  TopologySnapshot snapshot;
  JoinOrder after = kNoOrder;
  while (true) {
    if (snapshot.entries.size() >= limits::kMembers) {
      return Error{ErrorCode::protocol, "the metaserver names more peers than a network can have"};
    }
    const auto reply = askMetaserver(wire::TopologyRequest{after}, stop);
    if (!reply) return reply.error();
    const auto& topology = std::get<wire::Topology>(*reply);
    for (const auto& entry : topology.entries) {
      if (entry.member.order <= after) {
        return Error{ErrorCode::protocol, "the metaserver repeats itself"};
      }
      after = entry.member.order;
      snapshot.entries.push_back(entry);
    }
    if (!topology.more) break;
    if (topology.entries.empty()) {
      return Error{ErrorCode::protocol, "the metaserver breaks off its list of peers"};
    }
  }
  snapshot.at = std::chrono::system_clock::now();
  auto kept = std::make_shared<const TopologySnapshot>(snapshot);
  lastTopology_.with([&](auto& last) { last.swap(kept); });
  return snapshot;
}

// The metaserver's snapshot, or the last one that it gave.
Result<Node::TopologySnapshot> Node::snapshot(std::stop_token stop) {
  auto fetched = fetchTopology(stop);
  if (fetched || fetched.error().code == ErrorCode::interrupted) return fetched;
  const auto last = lastTopology_.with([](auto& snapshot) { return snapshot; });
  if (last) return *last;
  return fetched.error();
}

// So that there is something to show should the metaserver go. Of a large network only what the
// user asked for is kept.
void Node::refreshTopology() {
  network_.post([this](Peer&, TimePoint now, Effects& fx) {
    network_.ask(
        wire::TopologyRequest{kNoOrder},
        [this](Result<wire::RegistryReply> reply) {
          if (!reply) return;
          auto& topology = std::get<wire::Topology>(*reply);
          largeNetwork_ = topology.more || topology.entries.size() > kSnapshotPeers;
          if (topology.more) return;
          std::size_t ends = 0;
          for (const auto& entry : topology.entries) ends += entry.neighbours.size();
          log::debug("looked at the network: {} peers, {} links", topology.entries.size(),
                     ends / 2);
          auto kept = std::make_shared<const TopologySnapshot>(
              TopologySnapshot{std::move(topology.entries), std::chrono::system_clock::now()});
          lastTopology_.with([&](auto& last) { last.swap(kept); });
        },
        now, fx);
  });
}

// Soon, when both ends of a link that came or went have told the metaserver.
void Node::refreshTopologySoon() {
  const std::lock_guard lock(jobsMutex_);
  refreshAt_ = std::min(refreshAt_, Clock::now() + kSnapshotDelay);
  jobsChanged_.notify_one();
}

Result<command::Topology> Node::topology(std::stop_token stop) {
  if (!joined_) {
    // Before this peer has joined it asks as a guest.
    network_.post([](Peer& peer, TimePoint now, Effects& fx) { peer.connect(now, fx); });
    for (int tries = 0; tries < 50 && !stop.stop_requested(); ++tries) {
      const auto greeted = network_.call(
          [](Peer& peer, TimePoint, Effects&) { return peer.membership().greeted(); });
      if (!greeted) return greeted.error();
      if (*greeted) break;
      std::this_thread::sleep_for(20ms);
    }
  }
  const auto begun = std::chrono::system_clock::now();
  const auto now = snapshot(stop);
  if (!now) return now.error();
  command::Topology topology;
  for (const auto& entry : now->entries) {
    topology.peers.push_back({entry.member.id, entry.member.endpoint, entry.neighbours});
  }
  if (now->at < begun) topology.asOf = now->at;
  return topology;
}

Result<std::string> Node::topologyDot(std::stop_token stop) {
  const auto now = snapshot(stop);
  if (!now) return now.error();
  std::vector<topo::TopoLine> lines;
  for (const auto& entry : now->entries) lines.push_back({entry.member.id, entry.neighbours});
  return topo::toDot(lines);
}

Result<command::KillPlan> Node::whatIfKilled(const PeerId& id, std::stop_token stop) {
  const auto begun = std::chrono::system_clock::now();
  const auto now = snapshot(stop);
  if (!now) return now.error();
  const auto maxLinks = network_.call([](Peer& peer, TimePoint, Effects&) {
    return peer.tree() != nullptr ? peer.tree()->maxLinks() : limits::kMaxLinks;
  });
  if (!maxLinks) return maxLinks.error();
  auto plan = whatif::killPlan(treeOf(now->entries, *maxLinks), id);
  if (plan && now->at < begun) plan->asOf = now->at;
  return plan;
}

std::optional<wire::Members> Node::membersNow(std::stop_token stop) {
  const auto reply = askMetaserver(wire::MembersRequest(), stop);
  if (!reply) return std::nullopt;
  return std::get<wire::Members>(*reply);
}

Result<void> Node::awaitMembers(std::uint64_t total, std::stop_token stop, const OnCount& onCount) {
  std::uint64_t told = 0;
  while (!stop.stop_requested()) {
    if (const auto members = membersNow(stop)) {
      if (members->count != told && onCount) onCount(members->count);
      told = members->count;
      if (told >= total) return {};
    }
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, 300ms, [] { return false; });
  }
  return Error{ErrorCode::interrupted, "interrupted"};
}

Result<std::vector<LinkedPeer>> Node::links() {
  return network_.call([](Peer& peer, TimePoint, Effects&) {
    std::vector<LinkedPeer> links;
    if (peer.tree() == nullptr) return links;
    for (const auto& neighbour : peer.tree()->neighbours()) {
      const auto& parent = peer.tree()->parent();
      const bool above = parent && parent->connection == neighbour.connection;
      links.push_back({neighbour.contact.id, above ? Role::parent : Role::child});
    }
    return links;
  });
}

void Node::stop() {
  if (onStop_) onStop_();
}

Services Node::services() {
  return {*this, *this, *this, *this, *this, *this, *this, [this] { stop(); }};
}

}  // namespace espalier::peer::shell
