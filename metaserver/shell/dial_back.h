// Tells a peer whether others can connect to where it says that it listens: the metaserver dials it
// back, once a session, with its first heartbeat.
//
//   admitted --first heartbeat--> dialled back --refused, silent--> told with the next answer to a
//   heartbeat
//                                         --accepted--> nothing to tell
//
// It dials no other host than the one that the peer's connection comes from: else a peer could have
// us scan the ports of strangers. At most kAtOnce connections are under way at a time; who comes
// beyond that waits for a later heartbeat. What it keeps goes with the session.
//
// Thread rule: the loop's thread only.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "common/base/limits.h"
#include "common/net/event_loop.h"
#include "common/wire/registry.h"

namespace espalier::metaserver::shell {

class DialBack final : private net::ConnectionHandler {
 public:
  static constexpr std::size_t kAtOnce = 32;

  // `newConnection` makes an id for a connection of ours.
  DialBack(net::EventLoop& loop, std::function<ConnectionId()> newConnection)
      : loop_(loop), newConnection_(std::move(newConnection)) {}

  // Adds to an answer of the registry what only the shell sees: where the session's connection
  // comes from, and whether the peer can be reached.
  void remarkOn(const net::FramedConnection& session, wire::RegistryReply& reply);
  // The peer is alive: it has had the time to listen.
  void heartbeat(const net::FramedConnection& session);
  void closed(ConnectionId session) { reach_.erase(session); }

 private:
  struct Reach {
    Endpoint announced;
    bool asked = false;
    std::string problem;  // not told yet
  };
  void onOpened(net::FramedConnection& connection) override;
  void onFrame(net::FramedConnection&, std::string_view) override {}
  void onClosed(net::FramedConnection& connection, const Error& why) override;

  net::EventLoop& loop_;
  const std::function<ConnectionId()> newConnection_;
  std::map<ConnectionId, Reach> reach_;            // by session
  std::map<ConnectionId, ConnectionId> underWay_;  // ours -> session
};

}  // namespace espalier::metaserver::shell
