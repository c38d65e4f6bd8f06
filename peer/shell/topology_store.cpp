#include "peer/shell/topology_store.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "common/base/limits.h"
#include "common/base/log.h"

namespace espalier::peer::shell {
namespace {

using namespace std::chrono_literals;

constexpr auto kRenewDelay = 500ms;
constexpr auto kRenewInterval = 10s;
constexpr std::size_t kLargeNetwork = 256;  // peers; tuning: above it snapshots are rare

constexpr EventKinds kLinksChanged = kindsOf<JoinEnded, LinkUp, LinkDown>();

}  // namespace

TopologyStore::TopologyStore(Runtime& runtime) : runtime_(runtime) {
  runtime_.network().add(*this);
  runtime_.events().listen([this](const Event& event) {
    if ((kLinksChanged & (EventKinds{1} << event.index())) == 0) return;
    if (!runtime_.joined()) return;
    renewAt_ = std::min(renewAt_, Clock::now() + kRenewDelay);
  });
}

Result<TopologySnapshot> TopologyStore::fetch(std::stop_token stop) {
  TopologySnapshot snapshot;
  JoinOrder after = kNoOrder;
  while (true) {
    if (snapshot.entries.size() >= limits::kMembers) {
      return Error{ErrorCode::protocol, "the metaserver names more peers than a network can have"};
    }
    const auto reply = runtime_.metaserver().ask(wire::TopologyRequest{after}, stop);
    if (!reply) return reply.error();
    const auto& topology = std::get<wire::Topology>(*reply);
    for (const auto& entry : topology.entries) {
      after = entry.member.order;
      snapshot.entries.push_back(entry);
    }
    if (!topology.more) break;
    if (topology.entries.empty()) {
      return Error{ErrorCode::protocol, "the metaserver breaks off its list of peers"};
    }
  }
  snapshot.at = std::chrono::system_clock::now();
  keep(snapshot);
  return snapshot;
}

Result<TopologySnapshot> TopologyStore::current(std::stop_token stop) {
  auto fetched = fetch(std::move(stop));
  if (fetched || fetched.error().code == ErrorCode::interrupted) return fetched;
  if (const auto kept = last()) return *kept;
  return fetched.error();
}

std::shared_ptr<const TopologySnapshot> TopologyStore::last() const {
  return last_.with([](const auto& last) { return last; });
}

void TopologyStore::keep(TopologySnapshot snapshot) {
  auto kept = std::make_shared<const TopologySnapshot>(std::move(snapshot));
  last_.with([&](auto& last) { last.swap(kept); });
}

void TopologyStore::tick(TimePoint now) {
  renewAt_ = largeNetwork_ ? kNever : now + kRenewInterval;
  runtime_.network().post([this](Peer&, TimePoint then, Effects& fx) {
    runtime_.network().ask(
        wire::TopologyRequest{kNoOrder},
        [this](Result<wire::RegistryReply> reply) {
          if (!reply) return;
          auto& topology = std::get<wire::Topology>(*reply);
          largeNetwork_ = topology.more || topology.entries.size() > kLargeNetwork;
          if (topology.more) return;
          std::size_t ends = 0;
          for (const auto& entry : topology.entries) ends += entry.neighbours.size();
          log::debug("looked at the network: {} peers, {} links", topology.entries.size(),
                     ends / 2);
          keep({std::move(topology.entries), std::chrono::system_clock::now()});
        },
        then, fx);
  });
}

}  // namespace espalier::peer::shell
