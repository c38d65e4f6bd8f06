#include "metaserver/shell/commands.h"

#include <fmt/format.h>

#include "common/base/text.h"
#include "common/command/network_commands.h"
#include "common/command/printing.h"

namespace espalier::metaserver::shell {
namespace {

using command::Arguments;
using command::Command;
using command::Context;
using command::Json;
using command::outcomeOf;

Json statusData(const Status& status) {
  Json data;
  data["command"] = "status";
  data["endpoint"] = status.endpoint.text();
  data["peers"] = status.members;
  data["reserved"] = status.reserved;
  data["awaited"] = status.awaited;
  data["refused"] = status.refused;
  data["maxLinks"] = status.maxLinks;
  data["placement"] = status.placement;
  data["topo"] = status.topoFile;
  data["uptime"] = std::chrono::duration<double>(status.uptime).count();
  command::addLogLost(data);
  return data;
}

std::string statusText(const Json& data) {
  if (!data.contains("endpoint")) return {};
  const auto count = [&](const char* name) { return data[name].get<std::uint64_t>(); };
  std::string peers = counted(count("peers"), "peer");
  if (count("reserved") > 0) peers += fmt::format(", {} on their way", count("reserved"));
  if (count("awaited") > 0) peers += fmt::format(", {} awaited back", count("awaited"));
  const auto uptime = static_cast<std::int64_t>(data["uptime"].get<double>() * 1e9);
  std::vector<std::vector<std::string>> rows = {
      {"metaserver", data["endpoint"].get<std::string>()},
      {"network", fmt::format("{} in {}", peers, data["topo"].get<std::string>())},
      {"placement",
       fmt::format("{}, {} links a peer", data["placement"].get<std::string>(), count("maxLinks"))},
      {"refused", std::to_string(count("refused"))},
      {"running for", formatDuration(std::chrono::nanoseconds(uptime))},
  };
  if (auto lost = command::logLostRow(data); !lost.empty()) rows.push_back(std::move(lost));
  return command::table(rows);
}

Command statusCommand(MetaserverService& service) {
  Command command{
      .name = "status", .usage = "status", .summary = "what is going on", .text = statusText};
  command.handler = [&service](const Arguments&, Context&) {
    return outcomeOf("status", service.status(), statusData);
  };
  return command;
}

}  // namespace

std::vector<Command> metaserverCommands(MetaserverService& service) {
  return {command::topoCommand(service), statusCommand(service), command::whatIfCommand(service),
          command::stopCommand([&service] { service.stop(); })};
}

}  // namespace espalier::metaserver::shell
