// Private messages, for commands. Thread rule: see search_service.h.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace espalier::peer::shell {

struct SentPrivate {
  PeerId to;
  bool isDelivered = false;   // it is on the recipient's disk; else in this peer's outbox
  std::uint64_t waiting = 0;  // for that peer, in the outbox
  std::string why;            // it is not delivered yet; may contain text of the network, escaped
  bool isInterrupted = false;
};

struct PrivateLine {
  bool isSent = false;             // by this peer
  std::chrono::milliseconds at{};  // when it was written, since 1970
  std::string state;               // waiting, delivered, given up, received
  std::string text;                // as it came
};

class PrivateService {
 public:
  virtual ~PrivateService() = default;

  // Returns when it is delivered, or when it is known that it has to wait. An error: nothing was
  // kept. `isNew`: to whoever has the id now.
  virtual Result<SentPrivate> send(const PeerId& to, const std::string& text, bool isNew,
                                   std::stop_token stop) = 0;
  // The last messages with the peer of that id, the oldest first.
  virtual Result<std::vector<PrivateLine>> conversation(const PeerId& with, std::size_t most) = 0;
  virtual Result<void> ignore(const PeerId& id, bool isIgnored, std::stop_token stop) = 0;
  virtual Result<std::vector<PeerId>> ignored() = 0;
  // Ids of conversations that begin so.
  virtual std::vector<std::string> correspondents(const std::string& prefix) = 0;
};

}  // namespace espalier::peer::shell
