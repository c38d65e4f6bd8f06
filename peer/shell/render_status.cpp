// What `status` shows.
#include <fmt/format.h>

#include "common/base/text.h"
#include "common/command/network_commands.h"
#include "common/command/printing.h"
#include "peer/shell/render.h"
#include "peer/shell/transfer_commands.h"

namespace espalier::peer::shell {
namespace {

std::string limited(std::uint64_t rate) {
  if (rate == 0) return {};
  return fmt::format(", at most {}", formatRate(static_cast<double>(rate)));
}

}  // namespace

Json statusData(const PeerStatus& status) {
  Json data;
  data["command"] = "status";
  data["id"] = status.id.text();
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
  command::addLogLost(data);
  data["transfers"] = Json::array();
  for (const auto& each : status.transfers) {
    data["transfers"].push_back(transferData(each));
  }
  return data;
}

std::string statusText(const Json& data) {
  if (!data.contains("endpoint")) return {};
  const auto count = [&](const char* name) { return data[name].get<std::uint64_t>(); };
  std::string sharing = fmt::format("{} ({}) from {}", counted(count("files"), "file"),
                                    formatSize(count("size")), data["share"].get<std::string>());
  if (count("toIndex") > 0) sharing += fmt::format(", {} to index", count("toIndex"));
  const std::string metaserver = data["metaserver"].get<std::string>() +
                                 (data["metaserverReachable"].get<bool>() ? "" : ", out of reach");
  std::vector<std::vector<std::string>> rows = {
      {"peer",
       fmt::format("{} on {}", data["id"].get<std::string>(), data["endpoint"].get<std::string>())},
      {"network", fmt::format("{}, metaserver {}", counted(count("peers"), "peer"), metaserver)},
      {"links", fmt::format("{} of {}", count("links"), count("maxLinks"))},
      {"sharing", sharing},
      {"downloads", data["downloads"].get<std::string>()},
      {"searches", fmt::format("{} open", count("openQueries"))},
      {"sent", formatSize(count("sent")) + limited(count("uploadRate"))},
      {"received", formatSize(count("received")) + limited(count("downloadRate"))},
      {"running for", formatDuration(std::chrono::nanoseconds(
                          static_cast<std::int64_t>(data["uptime"].get<double>() * 1e9)))}};
  if (auto lost = command::logLostRow(data); !lost.empty()) rows.push_back(std::move(lost));
  for (const auto& each : data["transfers"]) {
    rows.push_back(transferRow(each));
  }
  return command::table(rows);
}

}  // namespace espalier::peer::shell
