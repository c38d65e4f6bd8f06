#include "metaserver/shell/dial_back.h"

#include <utility>
#include <variant>

#include "common/base/limits.h"

namespace espalier::metaserver::shell {

void DialBack::remarkOn(const net::FramedConnection& session, wire::RegistryReply& reply) {
  if (auto* admitted = std::get_if<wire::Admitted>(&reply)) {
    const std::string host = session.remoteAddress().host;
    admitted->source = withoutScope(host);
    const auto announced = net::Address::fromEndpoint(admitted->self.endpoint);
    if (announced && announced->sameHost(session.remote())) {
      unasked_[session.id()] = admitted->self.endpoint.port;
    }
  } else if (auto* heartbeat = std::get_if<wire::RegistryHeartbeatReply>(&reply)) {
    const auto problem = problems_.extract(session.id());
    if (!problem.empty()) heartbeat->unreachable = std::move(problem.mapped());
  }
}

void DialBack::heartbeat(const net::FramedConnection& session) {
  const auto port = unasked_.find(session.id());
  if (port == unasked_.end() || !prober_.hasRoom()) return;
  const auto done = [this, id = session.id()](const Result<void>& listens) {
    if (asked_.erase(id) > 0 && !listens) problems_[id] = listens.error().message;
  };
  if (!prober_.probe({session.remoteAddress().host, port->second}, done)) return;
  unasked_.erase(port);
  asked_.insert(session.id());
}

void DialBack::closed(ConnectionId session) {
  unasked_.erase(session);
  asked_.erase(session);
  problems_.erase(session);
}

}  // namespace espalier::metaserver::shell
