// The interface that the commands about several metaservers call: master, servers, links, and what
// changes them. Server implements it; tests have their own.
//
// Thread rule as for command::NetworkService: blocking, called from any number of command threads.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/command/history_command.h"
#include "common/wire/room_lists.h"
#include "common/wire/statistics.h"
#include "metaserver/core/cluster/election.h"

namespace espalier::metaserver::shell {

using WallTime = std::chrono::system_clock::time_point;

// This metaserver.
struct SelfInfo {
  ServerName name;
  WallTime started;
  std::chrono::nanoseconds uptime{};  // by the monotonic clock
};

struct MasterInfo {
  ServerName self;
  ServerName master;        // empty: there is none
  Endpoint endpoint;        // of the master
  std::uint64_t epoch = 0;  // its counter
  cluster::ElectionRule rule = cluster::ElectionRule::oldest;
  bool isAppointed = false;        // made the master by hand
  std::string engine = "builtin";  // or "etcd"
  // Why there is none: "waiting for etcd at http://…". Empty: this one is alone.
  std::string whyNone;
};

// A metaserver of the cluster, or one that was in it within the last day.
struct ServerInfo {
  ServerName name;
  Endpoint endpoint;
  bool isMaster = false;
  bool isSelf = false;
  bool drains = false;
  bool isDead = false;
  std::uint64_t peers = 0;  // of which it is the home
  WallTime started;
  std::string version;       // "0.1.0"; empty: not known
  std::uint64_t behind = 0;  // changes of the directory that its copy lacks
};

// A connection to another metaserver.
struct LinkInfo {
  ServerName name;
  Endpoint endpoint;
  bool isMaster = false;
  bool isUp = true;  // both ends hear each other
};

// What would follow if a metaserver died.
struct ServerKillPlan {
  struct Move {
    ServerName to;  // another home
    std::uint64_t peers = 0;
  };
  bool wasMaster = false;      // the one that dies
  bool wasLast = false;        // there is no other one
  ServerName master;           // afterwards; empty: there is none, because who is left is alone
  std::vector<Move> moves;     // in the order of servers(); without those to which nobody goes
  std::uint64_t homeless = 0;  // peers for which no other metaserver has room
};

class ClusterService {
 public:
  virtual ~ClusterService() = default;

  virtual Result<SelfInfo> self() = 0;
  virtual Result<MasterInfo> master() = 0;
  // Hands mastership over, and waits until that is done. Returns what master() says then.
  virtual Result<MasterInfo> appointMaster(const ServerName& name, std::stop_token stop) = 0;
  // All metaservers in a fixed order, this one included; the dead ones last.
  virtual Result<std::vector<ServerInfo>> servers() = 0;
  virtual Result<std::vector<LinkInfo>> links() = 0;
  // These three wait for the end of what they begin, and return a sentence about it, without a full
  // stop and line feed: "linked to m5000 on 127.0.0.1:5000, a cluster of 3 metaservers".
  virtual Result<std::string> link(const Endpoint& other, std::stop_token stop) = 0;
  virtual Result<std::string> drain(bool force, std::stop_token stop) = 0;
  virtual Result<std::string> migrate(const Endpoint& to, std::stop_token stop) = 0;
  virtual Result<ServerKillPlan> whatIfServerKilled(const ServerName& name) = 0;
  // Removes a dead metaserver from servers(). Where the master does so, the ids of the peers that
  // were lost with it are free. Returns a sentence, too.
  virtual Result<std::string> forget(const ServerName& name) = 0;
  // What all metaservers have counted, with the last `days` days.
  virtual Result<wire::Statistics> statistics(std::size_t days, std::stop_token stop) = 0;
  // The rooms of the network, by name, with the lobby.
  virtual Result<std::vector<wire::RoomRow>> rooms() = 0;
  // The last `most` entries of a room that may be shown, as this metaserver keeps them.
  virtual Result<command::RoomHistory> history(const RoomName& room, std::size_t most,
                                               std::stop_token stop) = 0;
};

}  // namespace espalier::metaserver::shell
