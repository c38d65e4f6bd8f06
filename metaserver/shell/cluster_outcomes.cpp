#include "metaserver/shell/cluster_outcomes.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <utility>

#include "common/base/text.h"
#include "common/command/printing.h"

namespace espalier::metaserver::shell {
namespace {

using command::Json;

std::string localTime(WallTime time) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S}",
                     fmt::localtime(std::chrono::system_clock::to_time_t(time)));
}

std::string utcTime(WallTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

Json nameOrNull(const ServerName& name) {
  return name.empty() ? Json(nullptr) : Json(name.text());
}

std::string_view orderOf(cluster::ElectionRule rule) {
  switch (rule) {
    case cluster::ElectionRule::oldest:
      return "oldest first";
    case cluster::ElectionRule::address:
      return "lowest address first";
    case cluster::ElectionRule::priority:
      return "highest priority first";
    case cluster::ElectionRule::mostPeers:
      return "most peers first";
  }
  return "";
}

std::string rolesOf(const ServerInfo& server) {
  std::string roles;
  for (const auto& [holds, role] :
       {std::pair(server.isDead, "dead"), std::pair(server.isMaster, "master"),
        std::pair(server.drains, "drains"), std::pair(server.isSelf, "this one")}) {
    if (holds) roles += (roles.empty() ? "" : ", ") + std::string(role);
  }
  return roles.empty() ? "-" : roles;
}

}  // namespace

void addMembers(Json& data, const SelfInfo& info) {
  data["self"] = info.name.text();
  data["started"] = utcTime(info.started);
  data["uptime"] = std::chrono::duration<double>(info.uptime).count();
}

std::string textOf(const SelfInfo& info) {
  return fmt::format("{} was started on {} and has run for {}\n", escaped(info.name.text()),
                     localTime(info.started), formatDuration(info.uptime));
}

void addMembers(Json& data, const MasterInfo& info) {
  data["self"] = info.self.text();
  data["master"] = nameOrNull(info.master);
  data["epoch"] = info.epoch;
  data["rule"] = cluster::ruleName(info.rule);
  data["engine"] = info.engine;
}

std::string textOf(const MasterInfo& info) {
  const auto self = escaped(info.self.text());
  if (info.master.empty()) {
    return fmt::format("no master: {}\n", info.whyNone.empty() ? self + " is alone" : info.whyNone);
  }
  if (info.master != info.self) {
    return fmt::format("the master is {} on {}\n", escaped(info.master.text()),
                       info.endpoint.text());
  }
  return fmt::format("{} is the master (epoch {}, {})\n", self, info.epoch,
                     info.isAppointed ? "appointed by a user" : orderOf(info.rule));
}

void addMembers(Json& data, const ServersOutcome& outcome) {
  data["servers"] = Json::array();
  for (const auto& server : outcome.servers) {
    Json& entry = data["servers"].emplace_back();
    entry["name"] = server.name.text();
    entry["endpoint"] = server.endpoint.text();
    entry["master"] = server.isMaster;
    entry["peers"] = server.peers;
    entry["started"] = utcTime(server.started);
    entry["behind"] = server.behind;
    entry["version"] = server.version;
    entry["self"] = server.isSelf;
    entry["drains"] = server.drains;
    entry["dead"] = server.isDead;
  }
}

std::string textOf(const ServersOutcome& outcome) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& server : outcome.servers) {
    auto& row = rows.emplace_back();
    row = {server.name.text(),
           server.endpoint.text(),
           rolesOf(server),
           counted(server.peers, "peer"),
           "since " + localTime(server.started),
           server.version.empty() ? "-" : server.version};
    if (server.isDead) continue;
    row.push_back(server.behind == 0 ? "up to date" : counted(server.behind, "change") + " behind");
  }
  return command::table(rows);
}

void addMembers(Json& data, const LinksOutcome& outcome) {
  data["count"] = outcome.links.size();
  if (outcome.onlyCount) return;
  data["links"] = Json::array();
  for (const auto& link : outcome.links) {
    Json& entry = data["links"].emplace_back();
    entry["name"] = link.name.text();
    entry["endpoint"] = link.endpoint.text();
    entry["master"] = link.isMaster;
    entry["up"] = link.isUp;
  }
}

std::string textOf(const LinksOutcome& outcome) {
  if (outcome.onlyCount) return fmt::format("{}\n", outcome.links.size());
  if (outcome.links.empty()) return "no links\n";
  std::vector<std::vector<std::string>> rows;
  for (const auto& link : outcome.links) {
    rows.push_back({link.name.text(), link.endpoint.text()});
    if (!link.isUp) rows.back().push_back("silent");
    if (link.isUp && link.isMaster) rows.back().push_back("master");
  }
  return command::table(rows);
}

void addMembers(Json& data, const RoomsOutcome& outcome) {
  data["rooms"] = Json::array();
  for (const auto& room : outcome.rooms) {
    Json& entry = data["rooms"].emplace_back();
    entry["room"] = room.room.text();
    entry["members"] = room.members;
    entry["open"] = room.isOpen;
    entry["opens_at"] = room.opensAt > 1 ? Json(room.opensAt) : Json(nullptr);
    entry["last"] = room.last;
  }
}

std::string textOf(const RoomsOutcome& outcome) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& room : outcome.rooms) {
    rows.push_back({escaped(room.room.text()), counted(room.members, "member"),
                    room.isOpen ? counted(room.last, "entry", "entries")
                                : fmt::format("opens at {}", room.opensAt)});
  }
  return command::table(rows);
}

void addMembers(Json& data, const Sentence& sentence) {
  data["result"] = sentence.text;
}

std::string textOf(const Sentence& sentence) {
  return sentence.text + "\n";
}

void addMembers(Json& data, const ServerHealing& healing) {
  data["kill"] = healing.killed.text();
  data["metaserver"] = true;
  data["master"] = nameOrNull(healing.plan.master);
  data["moves"] = Json::array();
  for (const auto& move : healing.plan.moves) {
    data["moves"].push_back({{"to", move.to.text()}, {"peers", move.peers}});
  }
  data["homeless"] = healing.plan.homeless;
}

std::string textOf(const ServerHealing& healing) {
  const ServerKillPlan& plan = healing.plan;
  if (plan.wasLast) {
    return fmt::format(
        "{} is the only metaserver: until it is started again nobody could join\n{}",
        escaped(healing.killed.text()),
        plan.homeless == 0
            ? ""
            : fmt::format("{} would go on without a metaserver, and come back then\n",
                          counted(plan.homeless, "peer")));
  }
  std::string text = plan.master.empty()
                         ? "no metaserver would be the master: who is left would be alone\n"
                         : fmt::format("{} would {} the master\n", escaped(plan.master.text()),
                                       plan.wasMaster ? "be" : "stay");
  for (const auto& move : plan.moves) {
    text +=
        fmt::format("{} would go to {}\n", counted(move.peers, "peer"), escaped(move.to.text()));
  }
  if (plan.homeless > 0) {
    text += fmt::format("{} would find no metaserver with room\n", counted(plan.homeless, "peer"));
  }
  if (plan.moves.empty() && plan.homeless == 0) text += "no peer would have to go elsewhere\n";
  return text;
}

}  // namespace espalier::metaserver::shell
