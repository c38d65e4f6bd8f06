// The options of the program `metaserver`, from command line, environment and configuration file.
// Pure but for reading that file; called by main().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/result.h"
#include "common/command/options.h"
#include "metaserver/core/cluster/election.h"
#include "metaserver/shell/coordination.h"

namespace espalier::metaserver::shell {

struct MetaserverOptions {
  Endpoint listen{"127.0.0.1", 5000};
  std::uint16_t firstPort = 5001;
  unsigned maxLinks = 2;
  std::string placement = "shallowest";  // shallowest, classic or nearest
  std::string joinWord = "P2P";
  // Where not `given`: what choosePort() makes of the port.
  std::string topoFile = "./topo.txt";
  std::string countFile = "./NumberOfServers.txt";
  std::string state = "./.metaserver";
  ServerName name;  // m5000
  std::vector<std::string> commands;
  bool json = false;
  log::Level logLevel = log::Level::info;

  // --- rooms
  double roomRate = limits::kRoomRate;  // messages of a peer a second
  std::uint32_t chatOpensAt = 0;        // members; 0 or 1: at once

  // --- several metaservers
  std::vector<Endpoint> cluster;  // others of this cluster; it may contain this one's own address
  cluster::ElectionChoice election;
  Coordination coordination;
  bool entry = false;                         // also with `instances`
  std::string balance = "least-connections";  // or round-robin, nearest
  std::uint64_t maxPeers = limits::kConnections;
  std::uint16_t instances = 0;  // metaservers that it starts, on the ports behind its own
  std::chrono::milliseconds migrateEvery{};  // 0: it does not move by itself
  std::string clusterSecretFile;             // empty: none
  std::string etcdPrefix = "/espalier/";     // of this cluster's keys in etcd
  std::string etcdCaFile;                    // for https; empty: the system's
  // 000's SERVER_PORT: links between metaservers come in there, too. Not the port of `listen`.
  std::optional<std::uint16_t> serverPort;
  // The page in the browser: where it listens, if it is wanted, and the name of a proxy before it.
  std::optional<Endpoint> web;
  std::string webHost;
  // Started by 000's or 001's form.
  bool byPosition = false;

  // What was given, not chosen; empty: nothing.
  struct Given {
    std::string topoFile;
    std::string countFile;
    std::string state;
    ServerName name;
  } given;

  // Whether several may be started in one folder, so that files have the port in their names.
  bool hasFilesByPort() const { return !cluster.empty() || instances > 0 || byPosition; }
  // Chooses files and name by the port that it listens on. parseMetaserverOptions() calls it with
  // the port of `listen`. If that is 0, call it again once the port is known.
  void choosePort(std::uint16_t port);
};

// The table of options, which store in `options`.
command::Program metaserverProgram(MetaserverOptions& options);

// Fills `options`, which have the defaults. `text` is the output of --help or --version. Errors as
// in common/command/options.h.
Result<command::Parsed> parseMetaserverOptions(const std::vector<std::string>& arguments,
                                               const command::Environment& environment,
                                               MetaserverOptions& options);

}  // namespace espalier::metaserver::shell
