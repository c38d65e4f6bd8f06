// Tells a peer whether others can connect to where it says that it listens: the metaserver dials
// the peer back, once a session, at its first heartbeat.
//
//   admitted --first heartbeat--> dialled back --accepted--> nothing to tell
//                                              --refused, silent--> told with the next answer to a
//                                                                   heartbeat
//
// It dials only the host that the session comes from: else a peer could make the metaserver scan
// the ports of strangers. Where limits::kDialBacks are dialled back already, a session's turn
// comes with a later heartbeat. What is kept for a session goes with it.
//
// Thread rule: the loop's thread only; used by Server.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "common/base/limits.h"
#include "common/net/event_loop.h"
#include "common/wire/registry.h"
#include "metaserver/shell/prober.h"

namespace espalier::metaserver::shell {

class DialBack {
 public:
  // `newConnection` makes an id for a connection of ours.
  DialBack(net::EventLoop& loop, std::function<ConnectionId()> newConnection)
      : prober_(loop, std::move(newConnection), limits::kDialBacks) {}

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

  Prober prober_;
  std::map<ConnectionId, Reach> reach_;  // by session
};

}  // namespace espalier::metaserver::shell
