#include "common/command/network_commands.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <utility>

#include "common/base/log.h"
#include "common/base/text.h"

namespace espalier::command {
namespace {

Json peersData(const std::vector<NetworkPeer>& peers) {
  Json data = Json::array();
  for (const auto& peer : peers) {
    Json entry;
    entry["id"] = peer.id.text();
    entry["endpoint"] = peer.endpoint.text();
    entry["links"] = Json::array();
    for (const auto& link : peer.links) entry["links"].push_back(link.text());
    data.push_back(std::move(entry));
  }
  return data;
}

std::string peersText(const Json& peers) {
  std::string text;
  for (const auto& peer : peers) {
    text += escaped(peer["id"].get<std::string>()) + ":";
    std::string_view gap = "  ";
    for (const auto& link : peer["links"]) {
      text += gap;
      text += escaped(link.get<std::string>());
      gap = " ";
    }
    text += '\n';
  }
  return text.empty() ? "empty network\n" : text;
}

std::string localTime(std::chrono::system_clock::time_point time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S%z}",
                     fmt::localtime(std::chrono::system_clock::to_time_t(time)));
}

std::string asOfText(const Json& data) {
  if (!data.contains("asOf")) return {};
  return fmt::format("metaserver out of reach: as of {}\n",
                     data["asOf"].get<std::string>().substr(11, 8));
}

Outcome topo(NetworkService& service, const Arguments& arguments, const Context& context) {
  if (arguments.has("--dot")) {
    const auto dot = service.topologyDot(context.stop);
    if (!dot) return Outcome::failed("topo", dot.error());
    Json data;
    data["command"] = "topo";
    data["dot"] = *dot;
    return Outcome::done(std::move(data));
  }
  return outcomeOf("topo", service.topology(context.stop), topologyData);
}

Outcome whatIf(NetworkService& service, const Arguments& arguments, const Context& context) {
  if (arguments.values[0] != "kill") {
    return Outcome::failed(
        "whatif",
        {ErrorCode::usage, fmt::format("whatif: \"{}\" is not foreseen; usage: whatif kill ID",
                                       escaped(arguments.values[0]))});
  }
  const auto id = PeerId::parse(arguments.values[1]);
  if (!id) return Outcome::failed("whatif", id.error());
  const auto plan = service.whatIfKilled(*id, context.stop);
  if (!plan) return Outcome::failed("whatif", plan.error());
  Json data;
  data["command"] = "whatif";
  data["kill"] = id->text();
  data["attachments"] = Json::array();
  for (const auto& each : plan->attachments) {
    Json entry;
    entry["id"] = each.id.text();
    entry["to"] = each.to.empty() ? Json(nullptr) : Json(each.to.text());
    data["attachments"].push_back(std::move(entry));
  }
  data["peers"] = peersData(plan->after);
  if (plan->asOf) data["asOf"] = localTime(*plan->asOf);
  return Outcome::done(std::move(data));
}

std::string whatIfText(const Json& data) {
  if (!data.contains("peers")) return {};
  std::string text;
  for (const auto& each : data["attachments"]) {
    const auto id = escaped(each["id"].get<std::string>());
    text += each["to"].is_null() ? fmt::format("{} would become the root\n", id)
                                 : fmt::format("{} would attach to {}\n", id,
                                               escaped(each["to"].get<std::string>()));
  }
  if (text.empty()) text = "nobody would have to attach anew\n";
  return text + fmt::format("the network without {}:\n", escaped(data["kill"].get<std::string>())) +
         peersText(data["peers"]) + asOfText(data);
}

}  // namespace

void addLogLost(Json& status) {
  const auto lost = log::lost();
  if (lost.lines > 0) status["logLost"] = {{"lines", lost.lines}, {"why", lost.why}};
}

std::vector<std::string> logLostRow(const Json& status) {
  if (!status.contains("logLost")) return {};
  const auto& lost = status["logLost"];
  return {"log", fmt::format("{} could not be written: {}",
                             counted(lost["lines"].get<std::uint64_t>(), "line"),
                             lost["why"].get<std::string>())};
}

Json topologyData(const Topology& topology) {
  Json data;
  data["command"] = "topo";
  data["peers"] = peersData(topology.peers);
  if (topology.asOf) data["asOf"] = localTime(*topology.asOf);
  return data;
}

std::string topologyText(const Json& data) {
  if (data.contains("dot")) return data["dot"].get<std::string>();
  if (!data.contains("peers")) return {};
  return peersText(data["peers"]) + asOfText(data);
}

Command topoCommand(NetworkService& service) {
  Command command{.name = "topo",
                  .usage = "topo [--dot]",
                  .summary = "the network: a line a peer, with its links",
                  .details =
                      "As in topo.txt: peers in order of joining, links in order of linking.\n"
                      "--dot prints it for Graphviz: topo --dot | dot -Tsvg > network.svg",
                  .flags = {{"--dot"}},
                  .text = topologyText};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    return topo(service, arguments, context);
  };
  return command;
}

Command whatIfCommand(NetworkService& service) {
  Command command{
      .name = "whatif",
      .usage = "whatif kill ID",
      .summary = "the network after that peer's death, and who would attach where",
      .details = "Nobody is harmed: it prints the very plan that the peers would follow.",
      .minValues = 2,
      .maxValues = 2,
      .kinds = {Kind::text, Kind::peer},
      .text = whatIfText};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    return whatIf(service, arguments, context);
  };
  return command;
}

Command stopCommand(std::function<void()> stop) {
  Command command{.name = "stop",
                  .usage = "stop",
                  .summary = "end this program (also quit, exit)",
                  .aliases = {"quit", "exit"}};
  command.handler = [stop = std::move(stop)](const Arguments&, Context&) {
    stop();
    Outcome outcome;
    outcome.data["command"] = "stop";
    outcome.stops = true;
    return outcome;
  };
  return command;
}

}  // namespace espalier::command
