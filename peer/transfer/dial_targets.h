// Which endpoints one `get` dials. Others name them, so anybody can name an endpoint of somebody
// who has nothing to do with the network. Therefore an address that can be no peer's is never
// dialled, an endpoint not after kTriesInVain dials in vain, and a host not after
// limits::kDialsInVain of them (limits::kLoopbackPeers times as many on loopback).
//
// Shared by all that one command fetches. Thread-safe.
#pragma once

#include <cstddef>
#include <map>

#include "common/base/budget.h"
#include "common/base/endpoint.h"
#include "common/base/guarded.h"

namespace espalier::transfer {

class DialTargets {
 public:
  static constexpr std::size_t kTriesInVain = 2;

  bool mayDial(const Endpoint& endpoint) const;
  // No Welcome came.
  void dialledInVain(const Endpoint& endpoint);
  // One came: the earlier dials of the endpoint, and of its host, count no more.
  void welcomed(const Endpoint& endpoint);

 private:
  Guarded<std::map<Payer, std::size_t>> inVain_;  // of endpoints and of hosts
};

}  // namespace espalier::transfer
