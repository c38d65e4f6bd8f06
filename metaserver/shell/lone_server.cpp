#include "metaserver/shell/lone_server.h"

#include <utility>

#include "common/command/options.h"

namespace espalier::metaserver::shell {
namespace {

Error inNoCluster() {
  return {ErrorCode::unavailable, "this metaserver is in no cluster"};
}

}  // namespace

LoneServer::LoneServer(MetaserverService& service, ServerName name, WallTime started)
    : service_(service), name_(std::move(name)), started_(started) {}

Result<SelfInfo> LoneServer::self() {
  const auto status = service_.status();
  if (!status) return status.error();
  return SelfInfo{name_, started_, status->uptime};
}

Result<MasterInfo> LoneServer::master() {
  MasterInfo info;
  info.self = name_;
  return info;
}

Result<std::vector<ServerInfo>> LoneServer::servers() {
  const auto status = service_.status();
  if (!status) return status.error();
  ServerInfo info;
  info.name = name_;
  info.endpoint = status->endpoint;
  info.isSelf = true;
  info.peers = status->members;
  info.started = started_;
  info.version = command::programVersion();
  return std::vector{info};
}

Result<std::vector<LinkInfo>> LoneServer::links() {
  return std::vector<LinkInfo>();
}

Result<MasterInfo> LoneServer::appointMaster(const ServerName&, std::stop_token) {
  return inNoCluster();
}

Result<std::string> LoneServer::link(const Endpoint&, std::stop_token) {
  return inNoCluster();
}

Result<std::string> LoneServer::drain(bool, std::stop_token) {
  return inNoCluster();
}

Result<std::string> LoneServer::migrate(const Endpoint&, std::stop_token) {
  return inNoCluster();
}

Result<ServerKillPlan> LoneServer::whatIfServerKilled(const ServerName&) {
  return inNoCluster();
}

Result<void> LoneServer::forget(const ServerName&) {
  return inNoCluster();
}

}  // namespace espalier::metaserver::shell
