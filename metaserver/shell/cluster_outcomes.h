// The outcomes of the commands of cluster_commands.h, as text and as JSON: see
// common/command/outcome.h.
// Values and pure functions.
#pragma once

#include <string>
#include <vector>

#include "common/command/outcome.h"
#include "metaserver/shell/cluster_service.h"

namespace espalier::metaserver::shell {

// `uptime`
void addMembers(command::Json& data, const SelfInfo& info);
std::string textOf(const SelfInfo& info);

// `master`
void addMembers(command::Json& data, const MasterInfo& info);
std::string textOf(const MasterInfo& info);

struct ServersOutcome {
  std::vector<ServerInfo> servers;
};
void addMembers(command::Json& data, const ServersOutcome& outcome);
std::string textOf(const ServersOutcome& outcome);

struct LinksOutcome {
  std::vector<LinkInfo> links;
  bool onlyCount = false;
};
void addMembers(command::Json& data, const LinksOutcome& outcome);
std::string textOf(const LinksOutcome& outcome);

// `rooms`
struct RoomsOutcome {
  std::vector<wire::RoomRow> rooms;
};
void addMembers(command::Json& data, const RoomsOutcome& outcome);
std::string textOf(const RoomsOutcome& outcome);

// What a service said about what it has done.
struct Sentence {
  std::string text;
};
void addMembers(command::Json& data, const Sentence& sentence);
std::string textOf(const Sentence& sentence);

// `whatif kill` of a metaserver.
struct ServerHealing {
  ServerName killed;
  ServerKillPlan plan;
};
void addMembers(command::Json& data, const ServerHealing& healing);
std::string textOf(const ServerHealing& healing);

}  // namespace espalier::metaserver::shell
