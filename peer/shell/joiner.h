// Joins the network under the id that the user chooses: makes the LocalPeer, asks the metaserver,
// waits for the outcome.
//
//   no peer --join(id)--> a peer that waits --joined--> a member
//      ^                        |
//      +---- id refused --------+    (word refused, no metaserver: the peer stays for another try)
//
// Thread rule: join() and peer() belong to one thread, the other functions to any. leave() comes
// when join() has returned.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/base/guarded.h"
#include "peer/shell/join_service.h"
#include "peer/shell/local_peer.h"

namespace espalier::peer::shell {

class Joiner final : public JoinService {
 public:
  // All outlive it. `stop` asks the program to end; called on any thread.
  Joiner(Runtime& runtime, TopologyStore& store, NetworkTopology& topology, PeerOptions options,
         std::function<void()> stop);

  std::vector<Endpoint> metaservers() const override { return options_.metaservers; }
  Result<command::Topology> topology(std::stop_token stop) override;
  std::string joinWord() override;
  JoinAttempt join(const PeerId& id, const std::string& word, std::stop_token stop) override;

  // Null until join() has made one.
  LocalPeer* peer() { return peer_.get(); }
  // Leaves the network and ends the commands of others. Blocks for half a second at most, unless a
  // command takes longer to stop.
  void leave();

 private:
  Result<void> prepare(const PeerId& id);
  JoinAttempt attempt(const std::string& word, const std::stop_token& stop);

  Runtime& runtime_;
  NetworkTopology& topology_;
  PeerOptions options_;
  const LocalPeer::Environment environment_;
  Guarded<std::string> word_;  // as announced, or --join-word
  std::unique_ptr<LocalPeer> peer_;
};

}  // namespace espalier::peer::shell
