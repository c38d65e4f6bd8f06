// The services of a metaserver for tests of commands: a network of s1 and m5010, which is also the
// name of a metaserver, and a cluster of three metaservers. All answers are immediate.
#pragma once

#include <string>
#include <vector>

#include "metaserver/shell/cluster_service.h"
#include "metaserver/shell/metaserver_service.h"

namespace espalier::test {

inline ServerName serverName(std::string_view text) {
  return *ServerName::parse(text);
}

class FakeMetaserver : public metaserver::shell::MetaserverService {
 public:
  Result<command::Topology> topology(std::stop_token) override {
    command::Topology topology;
    for (const auto* name : {"s1", "m5010"}) {
      topology.peers.push_back({*PeerId::parse(name), {"127.0.0.1", 5001}, {}});
    }
    return topology;
  }
  Result<std::string> topologyDot(std::stop_token) override { return std::string(); }
  Result<command::KillPlan> whatIfKilled(const PeerId& id, std::stop_token) override {
    if (id.text() == "s1" || id.text() == "m5010") return command::KillPlan{};
    return Error{ErrorCode::failed, id.text() + " is not in the network"};
  }
  void stop() override {}
  Result<metaserver::shell::Status> status() override {
    metaserver::shell::Status status;
    status.endpoint = {"127.0.0.1", 5000};
    status.members = 3;
    status.reserved = 1;
    status.maxLinks = 2;
    status.placement = "shallowest";
    status.topoFile = "./topo.txt";
    return status;
  }
};

class FakeCluster : public metaserver::shell::ClusterService {
 public:
  FakeCluster() {
    info.self = serverName("m5000");
    info.master = info.self;
    info.endpoint = {"127.0.0.1", 5000};
    info.epoch = 3;
    all = {{.name = serverName("m5000"),
            .endpoint = {"127.0.0.1", 5000},
            .isMaster = true,
            .isSelf = true,
            .peers = 12,
            .started = start(),
            .version = "0.1.0"},
           {.name = serverName("m5010"),
            .endpoint = {"127.0.0.1", 5010},
            .drains = true,
            .peers = 1,
            .started = start(),
            .version = "0.2.0",
            .behind = 1},
           {.name = serverName("m5020"),
            .endpoint = {"127.0.0.1", 5020},
            .isDead = true,
            .started = start(),
            .version = ""}};
  }

  static metaserver::shell::WallTime start() {
    return std::chrono::system_clock::from_time_t(1'796'000'000);
  }

  Result<metaserver::shell::SelfInfo> self() override {
    return metaserver::shell::SelfInfo{info.self, start(), std::chrono::minutes(125)};
  }
  Result<metaserver::shell::MasterInfo> master() override { return info; }
  Result<metaserver::shell::MasterInfo> appointMaster(const ServerName& name,
                                                      std::stop_token) override {
    info.master = name;
    info.endpoint = {"127.0.0.1", 5010};
    info.isAppointed = true;
    ++info.epoch;
    return info;
  }
  Result<std::vector<metaserver::shell::ServerInfo>> servers() override { return all; }
  Result<std::vector<metaserver::shell::LinkInfo>> links() override { return linked; }
  Result<std::string> link(const Endpoint& other, std::stop_token) override {
    return "linked to m5010 on " + other.text();
  }
  Result<std::string> drain(bool force, std::stop_token) override {
    if (!force) return Error{ErrorCode::refused, "m5000 is alone: drain --force ends it"};
    return std::string("m5000 ends");
  }
  Result<std::string> migrate(const Endpoint& to, std::stop_token) override {
    return "listening on " + to.text();
  }
  Result<metaserver::shell::ServerKillPlan> whatIfServerKilled(const ServerName& name) override {
    for (const auto& server : all) {
      if (server.name == name) return plan;
    }
    return Error{ErrorCode::failed, name.text() + " is no metaserver of this cluster"};
  }
  Result<wire::Statistics> statistics(std::size_t days, std::stop_token) override {
    askedDays = days;
    return counted;
  }
  Result<std::vector<wire::RoomRow>> rooms() override {
    return std::vector<wire::RoomRow>{{*RoomName::parse("fleece"), 2, 3, false, 17},
                                      {*RoomName::parse("lobby"), 4, 0, true, 1}};
  }
  Result<command::RoomHistory> history(const RoomName& room, std::size_t most,
                                       std::stop_token) override {
    if (room.text() == "void") return Error{ErrorCode::failed, "there is no room void"};
    askedEntries = most;
    auto answer = said;
    answer.room = room;
    return answer;
  }
  Result<std::string> forget(const ServerName& name) override {
    if (name == serverName("m5020")) return std::string("m5020 is forgotten");
    return Error{ErrorCode::refused, name.text() + " is not dead"};
  }

  metaserver::shell::MasterInfo info;
  std::vector<metaserver::shell::ServerInfo> all;
  std::vector<metaserver::shell::LinkInfo> linked;
  metaserver::shell::ServerKillPlan plan;
  wire::Statistics counted;
  std::size_t askedDays = 0;
  command::RoomHistory said;
  std::size_t askedEntries = 0;
};

}  // namespace espalier::test
