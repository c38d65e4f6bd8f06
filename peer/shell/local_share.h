// The share service of a peer: its own index, and the lists of other peers, which it dials for
// them. Thread-safe.
#pragma once

#include <optional>
#include <string>

#include "peer/share/share_index.h"
#include "peer/shell/own_id.h"
#include "peer/shell/share_service.h"
#include "peer/shell/topology_store.h"

namespace espalier::peer::shell {

class LocalShare final : public ShareService {
 public:
  // All outlive it. The topology says where a peer listens.
  LocalShare(const OwnId& self, share::ShareIndex& index, TopologyStore& topology)
      : self_(self), index_(index), topology_(topology) {}

  Result<ShareReport> list(const std::optional<PeerId>& peer, std::stop_token stop) override;
  Result<ShareReport> filesBelow(const Holder& holder, const std::string& prefix,
                                 std::stop_token stop) override;
  Result<ShareChange> share(const std::string& path, const std::string& typed,
                            std::stop_token stop) override;
  Result<ShareChange> unshare(const std::string& path, const std::string& typed,
                              std::stop_token stop) override;

 private:
  Result<Endpoint> endpointOf(const PeerId& peer, std::stop_token stop);

  const OwnId& self_;
  share::ShareIndex& index_;
  TopologyStore& topology_;
};

}  // namespace espalier::peer::shell
