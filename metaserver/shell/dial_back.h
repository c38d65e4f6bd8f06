// Tests whether other peers can reach a peer: the metaserver dials the endpoint that the peer has
// announced, once a session, at its first heartbeat.
//
//   admitted --first heartbeat--> dialled --accepted--> reachable: nothing is sent
//                                         --refused, silent--> reported in the next answer to a
//                                                              heartbeat
//
// It dials only the source host of the session: otherwise a peer could make the metaserver scan
// foreign ports. If limits::kDialBacks connections are under way, or the host was dialled too often
// lately, the session is tested at a later heartbeat. The state of a session is dropped with it.
//
// Thread rule: the loop's thread only; used by Server.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "common/base/limits.h"
#include "common/net/event_loop.h"
#include "common/wire/registry.h"
#include "metaserver/shell/prober.h"

namespace espalier::metaserver::shell {

class DialBack {
 public:
  // `newConnection` returns a new id for an outgoing connection.
  DialBack(net::EventLoop& loop, Budget& budget, std::function<ConnectionId()> newConnection)
      : prober_(loop, budget, std::move(newConnection), limits::kDialBacks) {}

  // Adds to an answer of the registry what only the shell knows: the source host of the session,
  // and whether the peer can be reached.
  void remarkOn(const net::FramedConnection& session, wire::RegistryReply& reply);
  // A heartbeat of the session has arrived, so the peer has had the time to listen.
  void heartbeat(const net::FramedConnection& session);
  void closed(ConnectionId session);

 private:
  Prober prober_;
  // By session. The host is the one from which the session comes.
  std::unordered_map<ConnectionId, std::uint16_t> unasked_;  // the port to try
  std::set<ConnectionId> asked_;                             // being tried
  std::map<ConnectionId, std::string> problems_;             // not reported yet
};

}  // namespace espalier::metaserver::shell
