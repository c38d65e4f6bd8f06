#include "peer/transfer/dial_targets.h"

#include "common/base/limits.h"

namespace espalier::transfer {

bool DialTargets::mayDial(const Endpoint& endpoint) const {
  if (endpoint.port == 0 || !isUnicast(endpoint.host)) return false;
  const Payer host = Payer::host(endpoint.host);
  const std::size_t most = limits::kDialsInVain * (host.isLoopback() ? limits::kLoopbackPeers : 1);
  return inVain_.with([&](const auto& inVain) {
    const auto count = [&](const Payer& of) {
      const auto place = inVain.find(of);
      return place == inVain.end() ? 0 : place->second;
    };
    return count(Payer::endpoint(endpoint)) < kTriesInVain && count(host) < most;
  });
}

void DialTargets::dialledInVain(const Endpoint& endpoint) {
  inVain_.with([&](auto& inVain) {
    ++inVain[Payer::endpoint(endpoint)];
    ++inVain[Payer::host(endpoint.host)];
  });
}

void DialTargets::welcomed(const Endpoint& endpoint) {
  inVain_.with([&](auto& inVain) {
    inVain.erase(Payer::endpoint(endpoint));
    inVain.erase(Payer::host(endpoint.host));
  });
}

}  // namespace espalier::transfer
