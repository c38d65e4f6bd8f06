#include "peer/shell/status_commands.h"

#include <fmt/format.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "common/base/text.h"
#include "common/command/network_commands.h"
#include "common/command/printing.h"
#include "peer/shell/transfer_outcome.h"

namespace espalier::peer::shell {
namespace {

using command::Arguments;
using command::Command;
using command::Context;
using command::Json;
using command::Outcome;

// --- peers

struct LinksOutcome {
  std::vector<LinkedPeer> links;
};

const char* roleName(Role role) {
  return role == Role::parent ? "parent" : "child";
}

void addMembers(Json& data, const LinksOutcome& outcome) {
  data["links"] = Json::array();
  for (const auto& link : outcome.links) {
    Json& entry = data["links"].emplace_back();
    entry["id"] = link.id.text();
    entry["role"] = roleName(link.role);
  }
}

std::string textOf(const LinksOutcome& outcome) {
  if (outcome.links.empty()) return "no links\n";
  std::vector<std::vector<std::string>> rows;
  for (const auto& link : outcome.links) rows.push_back({link.id.text(), roleName(link.role)});
  return command::table(rows);
}

// --- status

struct StatusOutcome {
  PeerStatus status;
  log::Lost lost;
};

void addMembers(Json& data, const StatusOutcome& outcome) {
  const PeerStatus& status = outcome.status;
  data["id"] = status.id.text();
  data["wantedId"] = status.wantedId.text();
  data["endpoint"] = status.endpoint.text();
  data["metaserver"] = status.metaserver.text();
  data["metaserverReachable"] = status.metaserverReachable;
  data["peers"] = status.members;
  data["links"] = status.links;
  data["maxLinks"] = status.maxLinks;
  data["share"] = status.share;
  data["downloads"] = status.downloads;
  data["files"] = status.sharedFiles;
  data["size"] = status.sharedBytes;
  data["toIndex"] = status.filesToIndex;
  data["openQueries"] = status.openQueries;
  data["sent"] = status.sentBytes;
  data["received"] = status.receivedBytes;
  data["uploadRate"] = status.rates.upload;
  data["downloadRate"] = status.rates.download;
  data["uptime"] = std::chrono::duration<double>(status.uptime).count();
  command::addLogLost(data, outcome.lost);
  data["transfers"] = Json::array();
  for (const auto& each : status.transfers) data["transfers"].push_back(transferData(each));
}

std::string limited(std::uint64_t rate) {
  if (rate == 0) return {};
  return fmt::format(", at most {}", formatRate(static_cast<double>(rate)));
}

std::string textOf(const StatusOutcome& outcome) {
  const PeerStatus& status = outcome.status;
  std::string sharing = fmt::format("{} ({}) from {}", counted(status.sharedFiles, "file"),
                                    formatSize(status.sharedBytes), status.share);
  if (status.filesToIndex > 0) sharing += fmt::format(", {} to index", status.filesToIndex);
  const std::string instead = status.id == status.wantedId
                                  ? ""
                                  : fmt::format(", another member has {}", status.wantedId.text());
  std::vector<std::vector<std::string>> rows = {
      {"peer", fmt::format("{} on {}{}", status.id.text(), status.endpoint.text(), instead)},
      {"network",
       fmt::format("{}, metaserver {}{}", counted(status.members, "peer"), status.metaserver.text(),
                   status.metaserverReachable ? "" : ", out of reach")},
      {"links", fmt::format("{} of {}", status.links, status.maxLinks)},
      {"sharing", sharing},
      {"downloads", status.downloads},
      {"searches", fmt::format("{} open", status.openQueries)},
      {"sent", formatSize(status.sentBytes) + limited(status.rates.upload)},
      {"received", formatSize(status.receivedBytes) + limited(status.rates.download)},
      {"running for", formatDuration(status.uptime)}};
  if (auto lost = command::logLostRow(outcome.lost); !lost.empty()) rows.push_back(std::move(lost));
  for (const auto& each : status.transfers) rows.push_back(transferRow(each));
  return command::table(rows);
}

}  // namespace

Command peersCommand(TopologyService& service) {
  Command command{
      .name = "peers", .usage = "peers", .summary = "list the peers that this peer is linked to"};
  command.handler = [&service](const Arguments&, Context&) {
    auto links = service.links();
    if (!links) return Outcome::failed("peers", links.error());
    return Outcome::done("peers", LinksOutcome{*std::move(links)});
  };
  return command;
}

Command statusCommand(StatusService& service) {
  Command command{.name = "status",
                  .usage = "status",
                  .summary = "show the state of this peer: links, share, transfers"};
  command.handler = [&service](const Arguments&, Context&) {
    auto status = service.status();
    if (!status) return Outcome::failed("status", status.error());
    return Outcome::done("status", StatusOutcome{*std::move(status), log::lost()});
  };
  return command;
}

}  // namespace espalier::peer::shell
