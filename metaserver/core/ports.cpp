#include "metaserver/core/ports.h"

#include <algorithm>

namespace espalier::metaserver {

void Ports::setMetaservers(std::vector<Endpoint> metaservers) {
  std::ranges::sort(metaservers, {}, &Endpoint::port);
  metaservers_ = std::move(metaservers);
}

bool Ports::isTaken(const std::string& host, std::uint16_t port) const {
  auto there = std::ranges::lower_bound(metaservers_, port, {}, &Endpoint::port);
  for (; there != metaservers_.end() && there->port == port; ++there) {
    if (there->host == host) return true;
  }
  if (!reserved_.empty() && reserved_.contains({host, port})) return true;
  if (port >= takers_.size()) return false;
  const auto& takers = takers_[port];
  return std::any_of(takers.begin(), takers.end(),
                     [&](Node node) { return tree_.member(node).endpoint.host == host; });
}

std::optional<std::uint16_t> Ports::next(const std::string& host) {
  const unsigned count = 65536u - first_;
  for (unsigned tried = 0; tried < count; ++tried) {
    const std::uint16_t port = next_;
    next_ = port == 65535 ? first_ : static_cast<std::uint16_t>(port + 1);
    if (!isTaken(host, port)) return port;
  }
  return std::nullopt;
}

void Ports::take(Node node) {
  const std::size_t port = tree_.member(node).endpoint.port;
  if (port >= takers_.size()) takers_.resize(port + 1);
  takers_[port].push_back(node);
}

void Ports::release(Node node) {
  std::erase(takers_[tree_.member(node).endpoint.port], node);
}

bool Ports::hasTaken(Node node) const {
  const std::size_t port = tree_.member(node).endpoint.port;
  return port < takers_.size() && std::count(takers_[port].begin(), takers_[port].end(), node) == 1;
}

}  // namespace espalier::metaserver
