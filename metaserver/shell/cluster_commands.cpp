#include "metaserver/shell/cluster_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/text.h"
#include "common/command/metaserver_address.h"
#include "common/command/network_commands.h"
#include "metaserver/shell/cluster_outcomes.h"

namespace espalier::metaserver::shell {
namespace {

using command::Arguments;
using command::Command;
using command::Context;
using command::Kind;
using command::Outcome;
using command::outcomeOf;

Outcome sentenceOf(std::string_view command, Result<std::string> result) {
  if (!result) return Outcome::failed(command, result.error());
  return Outcome::done(command, Sentence{*std::move(result)});
}

Command linkCommand(ClusterService& service) {
  Command command{.name = "link",
                  .usage = "link HOST:PORT",
                  .summary = "link this metaserver to another one, and to its cluster (also -c)",
                  .details = "Also `link HOST PORT` and `link HOST-PORT`.",
                  .minValues = 1,
                  .maxValues = 2,
                  .kinds = {Kind::text}};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    const auto& values = arguments.values;
    auto other = values.size() == 2 ? command::parseHostAndPort(values[0], values[1])
                                    : command::parseMetaserver(values[0]);
    if (!other && values.size() == 1) {
      if (auto dashed = command::parseDashedMetaserver(values[0])) other = std::move(dashed);
    }
    if (!other) return Outcome::failed("link", other.error());
    return sentenceOf("link", service.link(*other, context.stop));
  };
  return command;
}

Command masterCommand(ClusterService& service) {
  Command command{
      .name = "master",
      .usage = "master [NAME]",
      .summary = "say which metaserver is the master, or make NAME the master (also -m)",
      .details = "A master that was made by hand stays it until it ends or drains.",
      .maxValues = 1,
      .kinds = {Kind::metaserver}};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    if (arguments.values.empty()) return outcomeOf("master", service.master());
    const auto name = ServerName::parse(arguments.values[0]);
    if (!name) return Outcome::failed("master", name.error());
    return outcomeOf("master", service.appointMaster(*name, context.stop));
  };
  return command;
}

Command uptimeCommand(ClusterService& service) {
  Command command{.name = "uptime",
                  .usage = "uptime",
                  .summary = "say when this metaserver was started (also -t)"};
  command.handler = [&service](const Arguments&, Context&) {
    return outcomeOf("uptime", service.self());
  };
  return command;
}

Command linksCommand(ClusterService& service) {
  Command command{
      .name = "links",
      .usage = "links [--count]",
      .summary = "list the metaservers that it is linked to (also -cl; -cn counts them)",
      .flags = {{"--count"}}};
  command.handler = [&service](const Arguments& arguments, Context&) {
    auto links = service.links();
    if (!links) return Outcome::failed("links", links.error());
    return Outcome::done("links", LinksOutcome{*std::move(links), arguments.has("--count")});
  };
  return command;
}

Command serversCommand(ClusterService& service) {
  Command command{.name = "servers",
                  .usage = "servers",
                  .summary = "show every metaserver of the cluster: peers, since when, how current",
                  .details = "With the dead of the last day, until `forget NAME`."};
  command.handler = [&service](const Arguments&, Context&) {
    auto servers = service.servers();
    if (!servers) return Outcome::failed("servers", servers.error());
    return Outcome::done("servers", ServersOutcome{*std::move(servers)});
  };
  return command;
}

Command drainCommand(ClusterService& service) {
  Command command{
      .name = "drain",
      .usage = "drain [--force]",
      .summary = "hand mastership and peers over to the others, then end",
      .details =
          "Refused if this metaserver is alone or all others are full; --force ends it\n"
          "all the same.",
      .flags = {{"--force"}}};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    return sentenceOf("drain", service.drain(arguments.has("--force"), context.stop));
  };
  return command;
}

Command migrateCommand(ClusterService& service) {
  Command command{.name = "migrate",
                  .usage = "migrate HOST:PORT",
                  .summary = "listen at another address of this machine, and take the peers along",
                  .minValues = 1,
                  .maxValues = 1,
                  .kinds = {Kind::text}};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    const auto to = command::parseMetaserver(arguments.values[0]);
    if (!to) return Outcome::failed("migrate", to.error());
    return sentenceOf("migrate", service.migrate(*to, context.stop));
  };
  return command;
}

Command forgetCommand(ClusterService& service) {
  Command command{.name = "forget",
                  .usage = "forget NAME",
                  .summary = "remove a dead metaserver from `servers`",
                  .minValues = 1,
                  .maxValues = 1,
                  .kinds = {Kind::metaserver}};
  command.handler = [&service](const Arguments& arguments, Context&) {
    const auto name = ServerName::parse(arguments.values[0]);
    if (!name) return Outcome::failed("forget", name.error());
    return sentenceOf("forget", service.forget(*name));
  };
  return command;
}

Command roomsCommand(ClusterService& service) {
  Command command{.name = "rooms",
                  .usage = "rooms",
                  .summary = "list the rooms of the network: members, entries, open or not"};
  command.handler = [&service](const Arguments&, Context&) {
    auto rooms = service.rooms();
    if (!rooms) return Outcome::failed("rooms", rooms.error());
    return Outcome::done("rooms", RoomsOutcome{*std::move(rooms)});
  };
  return command;
}

Command historyCommand(ClusterService& service) {
  auto command = command::historyCommand([&service](const auto& room, auto most, auto stop) {
    return service.history(room, most, std::move(stop));
  });
  command.details +=
      " A metaserver reads its own\ncopy of what is said; nothing is shown of a room before it "
      "opens.";
  return command;
}

// --- whatif

enum class Known { no, living, dead };

Known knownServer(ClusterService& cluster, std::string_view name) {
  const auto servers = cluster.servers();
  if (!servers) return Known::no;
  const auto there = std::ranges::find_if(
      *servers, [&](const ServerInfo& server) { return server.name.text() == name; });
  if (there == servers->end()) return Known::no;
  return there->isDead ? Known::dead : Known::living;
}

Outcome whatIfServer(ClusterService& cluster, const std::string& text) {
  const auto name = ServerName::parse(text);
  if (!name) return Outcome::failed("whatif", name.error());
  if (knownServer(cluster, text) == Known::dead) {
    return Outcome::failed("whatif", {ErrorCode::failed, escaped(text) + " is dead already"});
  }
  auto plan = cluster.whatIfServerKilled(*name);
  if (!plan) return Outcome::failed("whatif", plan.error());
  return Outcome::done("whatif", ServerHealing{*name, *std::move(plan)});
}

}  // namespace

Command whatIfCommand(MetaserverService& service, ClusterService& cluster) {
  Command command = command::whatIfCommand(service);
  command.usage = "whatif kill [--server] NAME";
  command.summary = "show how the network would repair itself if a peer or a metaserver died";
  command.details =
      "Prints the plan that would be followed, and changes nothing. Of a metaserver: the next\n"
      "master, and where its peers would go. A name of both is that of the peer; --server chooses\n"
      "the metaserver.";
  command.flags = {{"--server"}};
  command.handler = [&cluster, ofPeer = std::move(command.handler)](const Arguments& arguments,
                                                                    Context& context) {
    const auto& name = arguments.values[1];
    const bool isKill = arguments.values[0] == "kill";
    if (isKill && arguments.has("--server")) return whatIfServer(cluster, name);
    auto outcome = ofPeer(arguments, context);
    if (!isKill) return outcome;
    const auto known = knownServer(cluster, name);
    if (outcome.exitCode() == exitCode(ErrorCode::failed)) {
      if (known != Known::no) return whatIfServer(cluster, name);
      return Outcome::failed(
          "whatif", {ErrorCode::failed,
                     fmt::format("{} is neither a peer of this network nor a metaserver of this "
                                 "cluster",
                                 escaped(name))});
    }
    if (known == Known::living && outcome.exitCode() == 0 && context.say) {
      context.say(fmt::format("{0} is a metaserver, too: whatif kill --server {0}", escaped(name)));
    }
    return outcome;
  };
  return command;
}

std::vector<Command> clusterCommands(ClusterService& service) {
  return {linkCommand(service),    masterCommand(service),  uptimeCommand(service),
          linksCommand(service),   serversCommand(service), drainCommand(service),
          migrateCommand(service), forgetCommand(service),  roomsCommand(service),
          historyCommand(service)};
}

command::Dispatcher::Shorthands originalCommands() {
  return {{"-h", {"help"}},   {"-c", {"link"}},   {"-m", {"master"}},
          {"-t", {"uptime"}}, {"-cl", {"links"}}, {"-cn", {"links", "--count"}}};
}

command::Dispatcher::Names metaserverNames(MetaserverService& service, ClusterService& cluster) {
  return [&service, &cluster](Kind kind, const std::string& prefix) {
    std::vector<std::string> names;
    if (kind == Kind::peer) {
      if (const auto topology = service.topology({})) {
        for (const auto& peer : topology->peers) {
          if (peer.id.text().starts_with(prefix)) names.push_back(peer.id.text());
        }
      }
    }
    if (kind == Kind::room) {
      if (const auto rooms = cluster.rooms()) {
        for (const auto& row : *rooms) {
          if (row.room.text().starts_with(prefix)) names.push_back(row.room.text());
        }
      }
    }
    if (kind != Kind::peer && kind != Kind::metaserver) return names;
    if (const auto servers = cluster.servers()) {
      for (const auto& server : *servers) names.push_back(server.name.text());
    }
    return names;
  };
}

}  // namespace espalier::metaserver::shell
