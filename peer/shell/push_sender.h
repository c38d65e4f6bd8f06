// The push service of a peer: makes a push, follows its ledger until every peer is served, and
// reports the pushes that this peer knows of.
//
// It waits for events: the ledger changed, the number of members changed, the metaserver is back.
// The core's ledger has the peers that take part; the metaserver names the other members. In a
// network of more than 4096 members the report has the ledger, and only the number of the others.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "peer/share/share_index.h"
#include "peer/shell/events.h"
#include "peer/shell/metaserver_client.h"
#include "peer/shell/push_desk.h"
#include "peer/shell/push_report.h"
#include "peer/shell/push_service.h"
#include "peer/shell/topology_store.h"

namespace espalier::peer::shell {

class PushSender final : public PushService {
 public:
  // All outlive it.
  PushSender(PushDesk& desk, share::ShareIndex& index, MetaserverClient& metaserver,
             TopologyStore& topology, EventBus& events)
      : desk_(desk), index_(index), metaserver_(metaserver), topology_(topology), events_(events) {}

  Result<PushReport> push(const PushRequest& request, std::stop_token stop, const OnPush& onChange,
                          const OnHashed& onHashed) override;
  Result<std::vector<PushReport>> pushes(std::stop_token stop) override;

 private:
  // The network as the metaserver says: `count` is none when it is out of reach, `ids` also when
  // there are too many.
  struct KnownMembers {
    std::optional<std::vector<PeerId>> ids;
    std::optional<std::uint64_t> count;
    PushWays ways = {};
  };

  KnownMembers membersKnown(const PeerId& self, const std::stop_token& stop);
  static PushReport reportOf(const Pushes::View& view, const KnownMembers& members,
                             const std::set<PeerId>& believed = {});
  Result<PushReport> follow(const PushId& id, bool wait, const std::stop_token& stop,
                            const OnPush& onChange, TimePoint begun);
  Result<PushId> start(const PushRequest& request, const std::stop_token& stop,
                       const OnHashed& onHashed);

  PushDesk& desk_;
  share::ShareIndex& index_;
  MetaserverClient& metaserver_;
  TopologyStore& topology_;
  EventBus& events_;
};

}  // namespace espalier::peer::shell
