// The service of private messages: between the commands, PrivateMessages on the loop, and the
// database's thread.
//
//   send() --PrivateMessages::send--> keep() --database--> stored() --> the recipient
//      ^                                                                    |
//      +------------------------ told() <---- PrivateUpdate ----------------+
//   told(received) --> EventBus: PrivateReceived --> the prompt
//
// Thread rule: keep() and told() on the loop's thread; the service's functions on any other. The
// database calls Network::post from its own thread. Owned by LocalPeer.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "peer/shell/events.h"
#include "peer/shell/network.h"
#include "peer/shell/private_service.h"
#include "peer/storage/private_database.h"

namespace espalier::peer::shell {

class PrivateDesk final : public PrivateService {
 public:
  // `network` and `events` outlive it.
  PrivateDesk(Network& network, EventBus& events, storage::PrivateTables tables)
      : network_(network), events_(events), database_(std::move(tables)) {}

  // Hands the state to the core: before this peer joins.
  Result<void> start(PrivateState state);

  // The state folder was removed, and is there again.
  void restore() { database_.writeAgain(); }

  // --- of PeerHandler
  void keep(PrivateWrite& write) { database_.write(std::move(write)); }
  void told(PrivateUpdate& update);

  // --- PrivateService
  Result<SentPrivate> send(const PeerId& to, const std::string& text, bool isNew,
                           std::stop_token stop) override;
  Result<std::vector<PrivateLine>> conversation(const PeerId& with, std::size_t most) override;
  Result<void> ignore(const PeerId& id, bool isIgnored, std::stop_token stop) override;
  Result<std::vector<PeerId>> ignored() override;
  std::vector<std::string> correspondents(const std::string& prefix) override;

 private:
  template <typename Begin>
  Result<std::optional<PrivateUpdate>> ask(Begin begin, const std::stop_token& stop);

  Network& network_;
  EventBus& events_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::uint64_t requests_ = 0;
  std::map<std::uint64_t, std::optional<PrivateUpdate>> pending_;  // by request

  storage::PrivateDatabase database_;  // last: its thread ends first
};

}  // namespace espalier::peer::shell
