#include "metaserver/shell/dial_back.h"

#include <utility>
#include <variant>

namespace espalier::metaserver::shell {

void DialBack::remarkOn(const net::FramedConnection& session, wire::RegistryReply& reply) {
  if (auto* admitted = std::get_if<wire::Admitted>(&reply)) {
    const std::string host = session.remoteAddress().host;
    admitted->source = withoutScope(host);
    const auto announced = net::Address::fromEndpoint(admitted->self.endpoint);
    if (announced && announced->sameHost(session.remote())) {
      reach_[session.id()] = {{host, admitted->self.endpoint.port}, false, ""};
    }
  } else if (auto* heartbeat = std::get_if<wire::RegistryHeartbeatReply>(&reply)) {
    const auto reach = reach_.find(session.id());
    if (reach != reach_.end()) heartbeat->unreachable = std::exchange(reach->second.problem, "");
  }
}

void DialBack::heartbeat(const net::FramedConnection& session) {
  const auto reach = reach_.find(session.id());
  if (reach == reach_.end() || reach->second.asked || underWay_.size() >= kAtOnce) return;
  reach->second.asked = true;
  const ConnectionId id = newConnection_();
  if (loop_.dial(id, reach->second.announced, *this, limits::kProbeTimeout)) {
    underWay_.emplace(id, session.id());
  }
}

void DialBack::onOpened(net::FramedConnection& connection) {
  underWay_.erase(connection.id());
  connection.close({ErrorCode::failed, "it listens, that was all"});
}

void DialBack::onClosed(net::FramedConnection& connection, const Error& why) {
  const auto found = underWay_.find(connection.id());
  if (found == underWay_.end()) return;
  const auto reach = reach_.find(found->second);
  if (reach != reach_.end()) reach->second.problem = why.message;
  underWay_.erase(found);
}

}  // namespace espalier::metaserver::shell
