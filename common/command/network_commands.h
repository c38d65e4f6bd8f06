// The commands that the metaserver and a peer share, on what each of them knows of the network.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/command/dispatcher.h"

namespace espalier::command {

struct NetworkPeer {
  PeerId id;
  Endpoint endpoint;
  std::vector<PeerId> links;  // in order of linking
};

// The network in order of joining. `asOf`: the metaserver is out of reach, and this is what it said
// then.
struct Topology {
  std::vector<NetworkPeer> peers;
  std::optional<std::chrono::system_clock::time_point> asOf;
};

// What follows from a death, as `whatif kill` shows it: who would attach where, and the network
// after that.
struct Attachment {
  PeerId id;  // an orphan
  PeerId to;  // empty: it becomes the root
};
struct KillPlan {
  std::vector<Attachment> attachments;
  std::vector<NetworkPeer> after;
  // As of a topology: the metaserver is out of reach.
  std::optional<std::chrono::system_clock::time_point> asOf = {};
};

// Blocking, called from any number of command threads at once.
class NetworkService {
 public:
  virtual ~NetworkService() = default;
  virtual Result<Topology> topology(std::stop_token stop) = 0;
  virtual Result<std::string> topologyDot(std::stop_token stop) = 0;  // Graphviz
  virtual Result<KillPlan> whatIfKilled(const PeerId& id, std::stop_token stop) = 0;
};

Command topoCommand(NetworkService& service);
Command whatIfCommand(NetworkService& service);
// Also as quit, exit. `stop` asks the program to end, and returns at once: the answer still has to
// reach the client.
Command stopCommand(std::function<void()> stop);

// What `status` tells of a log that could not be written: "logLost":{"lines":3,"why":"…"}, and its
// row; neither when nothing was lost.
void addLogLost(Json& status);
std::vector<std::string> logLostRow(const Json& status);

// {"command":"topo","peers":[{"id":"s1","endpoint":"127.0.0.1:5001","links":["s2","s3"]}]}, with
// "asOf":"2026-01-31T12:03:11+0100" when the metaserver is out of reach.
Json topologyData(const Topology& topology);
// topo.txt's lines, or `empty network`; with the sentence about `asOf`.
std::string topologyText(const Json& data);

}  // namespace espalier::command
