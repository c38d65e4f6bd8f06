// The commands of both programs: topo, whatif, stop. Each program implements NetworkService with
// its own view of the network, and puts these commands into its table. Thread rule: see
// NetworkService.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/base/result.h"
#include "common/command/dispatcher.h"

namespace espalier::command {

struct NetworkPeer {
  PeerId id;
  Endpoint endpoint;
  std::vector<PeerId> links;  // in order of linking
};

// The members in order of joining.
struct Topology {
  std::vector<NetworkPeer> peers;
  // If the metaserver cannot be reached: the time of this snapshot.
  std::optional<std::chrono::system_clock::time_point> asOf;
};

// The output of `whatif kill`: how the network heals after a peer's death.
struct Attachment {
  PeerId id;  // an orphan
  PeerId to;  // its new parent; empty: it becomes the root
};
struct KillPlan {
  std::vector<Attachment> attachments;
  std::vector<NetworkPeer> after;
  // As Topology::asOf.
  std::optional<std::chrono::system_clock::time_point> asOf = {};
};

// Thread rule: every function blocks its caller, and may be called from any number of command
// threads at once.
class NetworkService {
 public:
  virtual ~NetworkService() = default;
  virtual Result<Topology> topology(std::stop_token stop) = 0;
  virtual Result<std::string> topologyDot(std::stop_token stop) = 0;  // Graphviz
  virtual Result<KillPlan> whatIfKilled(const PeerId& id, std::stop_token stop) = 0;
};

// The service outlives its command.
Command topoCommand(NetworkService& service);
Command whatIfCommand(NetworkService& service);
// Aliases: quit, exit. `stop` asks the program to end, and returns at once, because the answer must
// still reach the client.
Command stopCommand(std::function<void()> stop);

// "peers":[{"id":"s1","endpoint":"127.0.0.1:5001","links":["s2","s3"]}], with
// "asOf":"2026-01-31T12:03:11+0100" if the metaserver cannot be reached.
void addMembers(Json& data, const Topology& topology);
// topo.txt's lines, or `empty network`; behind them `metaserver out of reach: as of 12:03:11`.
std::string textOf(const Topology& topology);

// Log lines that could not be written, as `status` of both programs shows them:
// "logLost":{"lines":3,"why":"…"}, and a row of its table; neither when nothing was lost.
void addLogLost(Json& data, const log::Lost& lost);
std::vector<std::string> logLostRow(const log::Lost& lost);

}  // namespace espalier::command
