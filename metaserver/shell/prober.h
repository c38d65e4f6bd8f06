// Finds out whether a process listens at an endpoint: dials it, and closes at once.
//
// At most `atOnce` probes are under way, and each host is dialled no more often than its budget
// allows (Rate::dials), because others say where a peer listens. Thread rule: the loop's thread
// only. Outlives its connections. Used by Server (is an absent member still running?) and by
// DialBack (can other peers reach a new peer?).
#pragma once

#include <cstddef>
#include <functional>
#include <unordered_map>

#include "common/base/budget.h"
#include "common/base/endpoint.h"
#include "common/base/result.h"
#include "common/net/event_loop.h"

namespace espalier::metaserver::shell {

class Prober final : private net::ConnectionHandler {
 public:
  // Called once: ok, or why the endpoint could not be reached (`timeout`: no answer).
  using Done = std::function<void(const Result<void>& listens)>;

  // `newConnection` returns a new id for an outgoing connection.
  Prober(net::EventLoop& loop, Budget& budget, std::function<ConnectionId()> newConnection,
         std::size_t atOnce)
      : loop_(loop), budget_(budget), newConnection_(std::move(newConnection)), atOnce_(atOnce) {}

  bool hasRoom() const { return underWay_.size() < atOnce_; }
  // `done` is not called if the endpoint cannot be dialled: a host name (the metaserver does not
  // look up names of peers), or no descriptor left. False: the host was dialled too often lately.
  bool probe(const Endpoint& endpoint, Done done);

 private:
  void onOpened(net::FramedConnection& connection) override;
  void onFrame(net::FramedConnection&, std::string_view) override {}
  void onClosed(net::FramedConnection& connection, const Error& why) override;
  void finish(ConnectionId connection, const Result<void>& listens);

  net::EventLoop& loop_;
  Budget& budget_;
  const std::function<ConnectionId()> newConnection_;
  const std::size_t atOnce_;
  std::unordered_map<ConnectionId, Done> underWay_;
};

}  // namespace espalier::metaserver::shell
