// Pushes: files sent to every peer, or to some. Thread rule: see search_service.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/command/progress.h"
#include "common/wire/push.h"
#include "peer/shell/share_service.h"

namespace espalier::peer::shell {

struct PushRequest {
  std::vector<std::string> paths;
  std::vector<std::string>
      names;               // of each path what was typed: a name of `list` if no file has it
  std::vector<PeerId> to;  // empty: every peer
  bool wait = false;       // also for peers that are out of reach
};

struct PushedPeer {
  enum class State { waiting, receiving, verified, declined, failed, outOfReach };
  PeerId id;
  State state = State::waiting;
  std::string reason;  // of declined and failed; from the network

  bool operator==(const PushedPeer&) const = default;
};

struct PushReport {
  PushId id;
  PeerId sender;
  std::vector<ListedFile> files;
  std::uint64_t sizeBytes = 0;
  std::vector<PushedPeer> peers;  // that it is meant for, without the sender
  double seconds = 0;             // of a push that this command made
  std::vector<PeerId> doubted;    // peers whose state may be contradicted soon
  bool over = false;              // no further peer is offered it
  bool interrupted = false;
  bool goesOn = false;  // though interrupted: another peer has everything
  // Members that the ledger does not mention yet; none: their number is not known.
  std::optional<std::uint64_t> others = 0;
};

class PushService {
 public:
  virtual ~PushService() = default;

  // Sends files, and returns when every peer has them, declined, failed or is out of reach. When
  // interrupted, the push is cancelled unless another peer has everything by then.
  using OnPush = std::function<void(const PushReport&)>;
  using OnHashed = std::function<void(const command::Progress&)>;
  virtual Result<PushReport> push(const PushRequest& request, std::stop_token stop,
                                  const OnPush& onChange, const OnHashed& onHashed) = 0;
  // The pushes that this peer knows of, its own and those of others.
  virtual Result<std::vector<PushReport>> pushes(std::stop_token stop) = 0;
};

}  // namespace espalier::peer::shell
