#include "metaserver/shell/prober.h"

#include <utility>

#include "common/base/limits.h"

namespace espalier::metaserver::shell {

bool Prober::probe(const Endpoint& endpoint, Done done) {
  auto account = budget_.account(Payer::machine(endpoint.host));
  if (!account.spend(limits::Rate::dials, Clock::now())) return false;
  const ConnectionId id = newConnection_();
  if (loop_.dial(id, endpoint, *this, limits::kProbeTimeout)) {
    underWay_.emplace(id, std::move(done));
  }
  return true;
}

void Prober::onOpened(net::FramedConnection& connection) {
  connection.close({ErrorCode::failed, "it listens, that was all"});
  finish(connection.id(), {});
}

void Prober::onClosed(net::FramedConnection& connection, const Error& why) {
  finish(connection.id(), why);
}

void Prober::finish(ConnectionId connection, const Result<void>& listens) {
  const auto found = underWay_.find(connection);
  if (found == underWay_.end()) return;  // told already
  const Done done = std::move(found->second);
  underWay_.erase(found);
  done(listens);
}

}  // namespace espalier::metaserver::shell
