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
      reach_[session.id()] = {{host, admitted->self.endpoint.port}, false, ""};
    }
  } else if (auto* heartbeat = std::get_if<wire::RegistryHeartbeatReply>(&reply)) {
    const auto reach = reach_.find(session.id());
    if (reach != reach_.end()) heartbeat->unreachable = std::exchange(reach->second.problem, "");
  }
}

void DialBack::heartbeat(const net::FramedConnection& session) {
  const auto reach = reach_.find(session.id());
  if (reach == reach_.end() || reach->second.asked || !prober_.hasRoom()) return;
  const auto done = [this, id = session.id()](const Result<void>& listens) {
    const auto found = reach_.find(id);
    if (found != reach_.end() && !listens) found->second.problem = listens.error().message;
  };
  reach->second.asked = prober_.probe(reach->second.announced, done);
}

}  // namespace espalier::metaserver::shell
