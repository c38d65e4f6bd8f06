#include "peer/transfer/dial_targets.h"

#include "common/base/limits.h"

namespace espalier::transfer {

using limits::Rate;

DialTargets::Target DialTargets::known(const Endpoint& endpoint) const {
  return targets_.with([&](const auto& targets) {
    const auto place = targets.find(Payer::endpoint(endpoint));
    return place == targets.end() ? Target() : place->second;
  });
}

DialTargets::May DialTargets::mayDial(const Endpoint& endpoint, TimePoint now) {
  if (endpoint.port == 0 || !isUnicast(endpoint.host)) return May::never;
  const Target target = known(endpoint);
  if (target.inVain >= kTriesInVain) return May::never;
  if (target.isWelcome) return May::now;
  const Account host = budget_.account(Payer::machine(endpoint.host));
  return host.affordableAt(Rate::dials, now) <= now ? May::now : May::later;
}

DialTargets::May DialTargets::dial(const Endpoint& endpoint, TimePoint now) {
  const May may = mayDial(endpoint, now);
  if (may != May::now || known(endpoint).isWelcome) return may;
  return budget_.account(Payer::machine(endpoint.host)).spend(Rate::dials, now) ? May::now
                                                                                : May::later;
}

void DialTargets::dialledInVain(const Endpoint& endpoint) {
  targets_.with([&](auto& targets) { ++targets[Payer::endpoint(endpoint)].inVain; });
}

void DialTargets::welcomed(const Endpoint& endpoint) {
  targets_.with([&](auto& targets) { targets[Payer::endpoint(endpoint)] = {0, true}; });
}

}  // namespace espalier::transfer
