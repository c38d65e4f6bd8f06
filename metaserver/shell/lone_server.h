// The ClusterService of a metaserver that is in no cluster: it is the only one of servers(), there
// is no master, and what needs others is `unavailable`. Thread-safe. Built by main(), and by tests.
#pragma once

#include <string>
#include <vector>

#include "common/base/clock.h"
#include "metaserver/shell/cluster_service.h"
#include "metaserver/shell/metaserver_service.h"

namespace espalier::metaserver::shell {

class LoneServer final : public ClusterService {
 public:
  // `service` outlives it. It was started at `started`.
  LoneServer(MetaserverService& service, ServerName name, WallTime started);

  Result<SelfInfo> self() override;
  Result<MasterInfo> master() override;
  Result<MasterInfo> appointMaster(const ServerName& name, std::stop_token stop) override;
  Result<std::vector<ServerInfo>> servers() override;
  Result<std::vector<LinkInfo>> links() override;
  Result<std::string> link(const Endpoint& other, std::stop_token stop) override;
  Result<std::string> drain(bool force, std::stop_token stop) override;
  Result<std::string> migrate(const Endpoint& to, std::stop_token stop) override;
  Result<ServerKillPlan> whatIfServerKilled(const ServerName& name) override;
  Result<void> forget(const ServerName& name) override;

 private:
  MetaserverService& service_;
  const ServerName name_;
  const WallTime started_;
};

}  // namespace espalier::metaserver::shell
