// What the network asks of a peer that has an id. LocalPeer implements it; Network calls it while a
// Network::Attachment exists.
//
// Thread rule: called on the loop's thread; no function blocks.
#pragma once

#include <memory>

#include "common/net/byte_stream.h"
#include "common/wire/hello.h"
#include "peer/core/effects.h"

namespace espalier::peer::shell {

class PeerHandler {
 public:
  virtual ~PeerHandler() = default;

  // This peer is a member under another id than before.
  virtual void renamed(const PeerId& id) = 0;
  // Matches a pattern against the share; Network::matched() takes the result.
  virtual void match(const MatchJob& job) = 0;
  // Hits of a search that this peer made, or its result.
  virtual void searched(SearchUpdate& update) = 0;
  // Receives a push, or ends receiving it.
  virtual void carryOut(PushJob& job) = 0;
  // Writes what PrivateMessages keeps; PrivateMessages::stored() when it is durable.
  virtual void keep(PrivateWrite& write) = 0;
  // What became of a private message, or one that has arrived.
  virtual void told(PrivateUpdate& update) = 0;
  // What has happened in rooms.
  virtual void roomsChanged(RoomViewsEffects& fx) = 0;
  // Serves a connection whose Hello said `transfer` or `push`.
  virtual void serve(std::unique_ptr<net::ByteStream> stream, const wire::Hello& hello) = 0;
};

}  // namespace espalier::peer::shell
