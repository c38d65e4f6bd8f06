// Which endpoints one command dials to fetch files, and when. Others name them, so anybody can name
// an endpoint of somebody who has nothing to do with the network, and wrong ports of a holder's
// host. Therefore:
//
//   never   an address that can be no peer's; an endpoint after kTriesInVain dials in vain
//   later   the machine is dialled more often than Rate::dials allows; an endpoint that said
//           Welcome once is exempt
//   now     all others
//
// So a host with a holder is never excluded, whatever else is named there.
//
// Shared by all that one command fetches. Thread-safe. Does no I/O; the time is handed in.
#pragma once

#include <cstddef>
#include <map>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/guarded.h"

namespace espalier::transfer {

class DialTargets {
 public:
  static constexpr std::size_t kTriesInVain = 2;
  enum class May { now, later, never };

  May mayDial(const Endpoint& endpoint, TimePoint now);
  // The same; with `now` the endpoint is about to be dialled.
  May dial(const Endpoint& endpoint, TimePoint now);
  // Nobody answered there, or no peer.
  void dialledInVain(const Endpoint& endpoint);
  // A Welcome came: the earlier dials of the endpoint count no more.
  void welcomed(const Endpoint& endpoint);

 private:
  struct Target {
    std::size_t inVain = 0;
    bool isWelcome = false;
  };
  Target known(const Endpoint& endpoint) const;

  Guarded<std::map<Payer, Target>> targets_;  // endpoints
  Budget budget_;                             // of this command
};

}  // namespace espalier::transfer
