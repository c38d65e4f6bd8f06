#include "common/command/network_commands.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <utility>

#include "common/base/text.h"
#include "common/command/tree_text.h"

namespace espalier::command {
namespace {

using SystemTime = std::chrono::system_clock::time_point;

std::string localTime(const char* format, SystemTime time) {
  return fmt::format(fmt::runtime(format),
                     fmt::localtime(std::chrono::system_clock::to_time_t(time)));
}

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

std::string peersText(const std::vector<NetworkPeer>& peers) {
  std::string text;
  for (const auto& peer : peers) {
    text += escaped(peer.id.text()) + ":";
    std::string_view gap = "  ";
    for (const auto& link : peer.links) {
      text += gap;
      text += escaped(link.text());
      gap = " ";
    }
    text += '\n';
  }
  return text.empty() ? "empty network\n" : text;
}

void addAsOf(Json& data, const std::optional<SystemTime>& asOf) {
  if (asOf) data["asOf"] = localTime("{:%Y-%m-%dT%H:%M:%S%z}", *asOf);
}

std::string asOfText(const std::optional<SystemTime>& asOf) {
  if (!asOf) return {};
  return fmt::format("metaserver out of reach: as of {}\n", localTime("{:%H:%M:%S}", *asOf));
}

// The outcome of `topo --dot`.
struct Drawing {
  std::string dot;
};

void addMembers(Json& data, const Drawing& drawing) {
  data["dot"] = drawing.dot;
}

std::string textOf(const Drawing& drawing) {
  return drawing.dot;
}

// The outcome of `topo --tree`. Its JSON is that of `topo`.
struct Tree {
  Topology topology;
};

void addMembers(Json& data, const Tree& tree) {
  addMembers(data, tree.topology);
}

std::string textOf(const Tree& tree) {
  constexpr std::size_t kColumns = 100;
  if (tree.topology.peers.empty()) return textOf(tree.topology);
  return treeText(tree.topology.peers, kColumns) + asOfText(tree.topology.asOf);
}

// The outcome of `whatif kill`.
struct Healing {
  PeerId killed;
  KillPlan plan;
};

void addMembers(Json& data, const Healing& healing) {
  data["kill"] = healing.killed.text();
  data["attachments"] = Json::array();
  for (const auto& each : healing.plan.attachments) {
    Json entry;
    entry["id"] = each.id.text();
    entry["to"] = each.to.empty() ? Json(nullptr) : Json(each.to.text());
    data["attachments"].push_back(std::move(entry));
  }
  data["peers"] = peersData(healing.plan.after);
  addAsOf(data, healing.plan.asOf);
}

std::string textOf(const Healing& healing) {
  std::string text;
  for (const auto& each : healing.plan.attachments) {
    const auto id = escaped(each.id.text());
    text += each.to.empty() ? fmt::format("{} would become the root\n", id)
                            : fmt::format("{} would attach to {}\n", id, escaped(each.to.text()));
  }
  if (text.empty()) text = "no peer would have to attach again\n";
  return text + fmt::format("the network without {}:\n", escaped(healing.killed.text())) +
         peersText(healing.plan.after) + asOfText(healing.plan.asOf);
}

Outcome topo(NetworkService& service, const Arguments& arguments, const Context& context) {
  if (arguments.has("--dot") && arguments.has("--tree")) {
    return Outcome::failed("topo", {ErrorCode::usage, "topo: --dot or --tree, not both"});
  }
  if (!arguments.has("--dot")) {
    auto topology = service.topology(context.stop);
    if (!topology) return Outcome::failed("topo", topology.error());
    if (arguments.has("--tree")) return Outcome::done("topo", Tree{*std::move(topology)});
    return Outcome::done("topo", *std::move(topology));
  }
  auto dot = service.topologyDot(context.stop);
  if (!dot) return Outcome::failed("topo", dot.error());
  return Outcome::done("topo", Drawing{*std::move(dot)});
}

Outcome whatIf(NetworkService& service, const Arguments& arguments, const Context& context) {
  if (arguments.values[0] != "kill") {
    return Outcome::failed(
        "whatif",
        {ErrorCode::usage, fmt::format("whatif: unknown event \"{}\"; usage: whatif kill ID",
                                       escaped(arguments.values[0]))});
  }
  const auto id = PeerId::parse(arguments.values[1]);
  if (!id) return Outcome::failed("whatif", id.error());
  auto plan = service.whatIfKilled(*id, context.stop);
  if (!plan) return Outcome::failed("whatif", plan.error());
  return Outcome::done("whatif", Healing{*id, *std::move(plan)});
}

}  // namespace

void addMembers(Json& data, const Topology& topology) {
  data["peers"] = peersData(topology.peers);
  addAsOf(data, topology.asOf);
}

std::string textOf(const Topology& topology) {
  return peersText(topology.peers) + asOfText(topology.asOf);
}

void addLogLost(Json& data, const log::Lost& lost) {
  if (lost.lines > 0) data["logLost"] = {{"lines", lost.lines}, {"why", lost.why}};
}

std::vector<std::string> logLostRow(const log::Lost& lost) {
  if (lost.lines == 0) return {};
  return {"log", fmt::format("{} could not be written: {}", counted(lost.lines, "line"), lost.why)};
}

Command topoCommand(NetworkService& service) {
  Command command{.name = "topo",
                  .usage = "topo [--tree | --dot]",
                  .summary = "show the network: one line for each peer, with its links",
                  .details =
                      "As in topo.txt: peers in order of joining, links in order of linking.\n"
                      "--tree draws it with lines: a peer with one child stands beside it.\n"
                      "--dot prints it for Graphviz: topo --dot | dot -Tsvg > network.svg",
                  .flags = {{"--tree"}, {"--dot"}}};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    return topo(service, arguments, context);
  };
  return command;
}

Command whatIfCommand(NetworkService& service) {
  Command command{.name = "whatif",
                  .usage = "whatif kill ID",
                  .summary = "show how the network would repair itself if a peer died",
                  .details = "Prints the plan that the peers would follow, and changes nothing.",
                  .minValues = 2,
                  .maxValues = 2,
                  .kinds = {Kind::text, Kind::peer}};
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
    return Outcome::done("stop").withStop();
  };
  return command;
}

}  // namespace espalier::command
