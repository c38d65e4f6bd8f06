#include "metaserver/shell/commands.h"

#include <fmt/format.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "common/base/text.h"
#include "common/command/network_commands.h"
#include "common/command/printing.h"
#include "common/command/statistics_command.h"
#include "metaserver/shell/cluster_commands.h"
#include "metaserver/shell/cluster_outcomes.h"

namespace espalier::metaserver::shell {
namespace {

using command::Arguments;
using command::Command;
using command::Context;
using command::Json;
using command::Outcome;

// The outcome of `status`.
struct StatusOutcome {
  Status status;
  MasterInfo master;
  std::vector<ServerInfo> servers;  // of the cluster, without the dead
  log::Lost lost;
};

void addMembers(Json& data, const StatusOutcome& outcome) {
  const Status& status = outcome.status;
  data["endpoint"] = status.endpoint.text();
  data["peers"] = status.members;
  data["reserved"] = status.reserved;
  data["awaited"] = status.awaited;
  data["refused"] = status.refused;
  data["maxLinks"] = status.maxLinks;
  data["placement"] = status.placement;
  data["topo"] = status.topoFile;
  data["uptime"] = std::chrono::duration<double>(status.uptime).count();
  addMembers(data, outcome.master);
  data["metaservers"] = Json::array();
  for (const auto& server : outcome.servers) data["metaservers"].push_back(server.name.text());
  command::addLogLost(data, outcome.lost);
}

// "3 metaservers; m5000 is the master (epoch 3, oldest first)"
std::string clusterText(const StatusOutcome& outcome) {
  std::string master = textOf(outcome.master);
  master.pop_back();  // the line feed
  return fmt::format("{}; {}", counted(outcome.servers.size(), "metaserver"), master);
}

std::string textOf(const StatusOutcome& outcome) {
  const Status& status = outcome.status;
  std::string peers = counted(status.members, "peer");
  if (status.reserved > 0) peers += fmt::format(", {} attaching", status.reserved);
  if (status.awaited > 0) peers += fmt::format(", {} expected back", status.awaited);
  std::vector<std::vector<std::string>> rows = {
      {"metaserver", status.endpoint.text()},
      {"name", escaped(outcome.master.self.text())},
      {"cluster", clusterText(outcome)},
      {"network", fmt::format("{} in {}", peers, status.topoFile)},
      {"placement", fmt::format("{}, {} links a peer", status.placement, status.maxLinks)},
      {"refused", std::to_string(status.refused)},
      {"running for", formatDuration(status.uptime)},
  };
  if (auto lost = command::logLostRow(outcome.lost); !lost.empty()) rows.push_back(std::move(lost));
  return command::table(rows);
}

Command statusCommand(MetaserverService& service, ClusterService& cluster) {
  Command command{.name = "status",
                  .usage = "status",
                  .summary = "show the state of this metaserver: peers, placement, cluster"};
  command.handler = [&service, &cluster](const Arguments&, Context&) {
    auto status = service.status();
    if (!status) return Outcome::failed("status", status.error());
    auto master = cluster.master();
    if (!master) return Outcome::failed("status", master.error());
    auto servers = cluster.servers();
    if (!servers) return Outcome::failed("status", servers.error());
    std::erase_if(*servers, [](const ServerInfo& server) { return server.isDead; });
    return Outcome::done("status", StatusOutcome{*std::move(status), *std::move(master),
                                                 *std::move(servers), log::lost()});
  };
  return command;
}

}  // namespace

std::vector<Command> metaserverCommands(MetaserverService& service, ClusterService& cluster) {
  std::vector<Command> commands = {command::topoCommand(service), statusCommand(service, cluster),
                                   whatIfCommand(service, cluster)};
  for (auto& command : clusterCommands(cluster)) commands.push_back(std::move(command));
  commands.push_back(command::statsCommand([&cluster](std::size_t days, std::stop_token stop) {
    return cluster.statistics(days, std::move(stop));
  }));
  commands.push_back(command::stopCommand([&service] { service.stop(); }));
  return commands;
}

}  // namespace espalier::metaserver::shell
