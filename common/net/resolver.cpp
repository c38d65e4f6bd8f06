#include "common/net/resolver.h"

#include <fmt/format.h>
#include <netdb.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/base/thread.h"

namespace espalier::net {
namespace {

Result<std::vector<Address>> askSystem(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failure = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (failure == EAI_SYSTEM) return systemError("the look-up failed", errno);
  if (failure != 0) return Error{ErrorCode::unavailable, ::gai_strerror(failure)};
  std::vector<Address> addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    sockaddr_storage native{};
    const auto length = std::min<std::size_t>(one->ai_addrlen, sizeof native);
    std::copy_n(reinterpret_cast<const char*>(one->ai_addr), length,
                reinterpret_cast<char*>(&native));
    addresses.push_back(Address::fromNative(native));
  }
  ::freeaddrinfo(found);
  return addresses;
}

// Each address once, with the port.
Result<Target> targetOf(const Endpoint& endpoint, Result<std::vector<Address>> found) {
  Target target{endpoint, {}};
  if (found) {
    for (Address address : *found) {
      address = address.withPort(endpoint.port);
      auto& known = target.addresses;
      if (known.size() == limits::kHostAddresses) break;
      if (std::find(known.begin(), known.end(), address) == known.end()) known.push_back(address);
    }
  }
  if (!target.addresses.empty()) return target;
  return Error{ErrorCode::unavailable,
               fmt::format("cannot find the host {}: {}", escaped(endpoint.host),
                           found ? "it has no address" : found.error().message)};
}

}  // namespace

std::string Target::text() const {
  const std::string name = escaped(asked.text());
  if (addresses.size() == 1 && addresses[0].text() == name) return name;
  std::string all;
  for (const auto& address : addresses) {
    all += (all.empty() ? "" : ", ") + address.endpoint().host;
  }
  return fmt::format("{} ({})", name, all);
}

struct Resolver::Shared {
  LookUp lookUp;
  std::atomic<std::size_t> underWay{0};
  std::atomic<std::uint32_t> link{0};  // the number of its interface
};

Resolver::Resolver(LookUp lookUp) : shared_(std::make_shared<Shared>()) {
  shared_->lookUp = lookUp ? std::move(lookUp) : askSystem;
}

Resolver& Resolver::ofSystem() {
  // Never destroyed: a look-up may be under way while the process ends.
  static Resolver& resolver = *new Resolver();
  return resolver;
}

std::optional<Result<Target>> Resolver::literal(const Endpoint& endpoint) const {
  const auto address = Address::fromEndpoint(endpoint);
  if (address) {
    const bool bare = address->isLinkLocal() && address->interfaceNumber() == 0;
    return Target{endpoint, {bare ? address->onInterface(shared_->link) : *address}};
  }
  if (endpoint.host.find_first_of(":%") == std::string::npos) return std::nullopt;
  return address.error();
}

void Resolver::useInterface(std::uint32_t number) {
  shared_->link = number;
}

void Resolver::start(const Endpoint& endpoint, NamedBy who, Done done) {
  if (auto known = literal(endpoint)) return done(*std::move(known));
  const std::size_t most =
      who == NamedBy::user ? limits::kLookUps : limits::kLookUps - limits::kLookUpsKept;
  if (shared_->underWay.fetch_add(1) >= most) {
    --shared_->underWay;
    return done(Error{ErrorCode::timeout, fmt::format("cannot look up the host {}: too many names "
                                                      "are being looked up",
                                                      escaped(endpoint.host))});
  }
  const auto callback = std::make_shared<Done>(std::move(done));
  auto started = startThread([shared = shared_, endpoint, callback] {
    auto found = shared->lookUp(endpoint.host);
    --shared->underWay;
    (*callback)(targetOf(endpoint, std::move(found)));
  });
  if (started) return started->detach();
  --shared_->underWay;
  (*callback)(Error{ErrorCode::io, fmt::format("cannot look up the host {}: {}",
                                               escaped(endpoint.host), started.error().message)});
}

Result<Target> Resolver::resolve(const Endpoint& endpoint, NamedBy who, std::stop_token stop,
                                 Duration timeout) {
  struct Wait {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::optional<Result<Target>> result;
  };
  const auto wait = std::make_shared<Wait>();
  start(endpoint, who, [wait](Result<Target> result) {
    const std::lock_guard lock(wait->mutex);
    wait->result = std::move(result);
    wait->changed.notify_all();
  });
  std::unique_lock lock(wait->mutex);
  wait->changed.wait_for(lock, stop, timeout, [&] { return wait->result.has_value(); });
  if (wait->result) return std::move(*wait->result);
  if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
  return Error{ErrorCode::timeout, fmt::format("cannot find the host {}: no answer within {}",
                                               escaped(endpoint.host), formatDuration(timeout))};
}

std::string connectFailure(const Target& to, const std::vector<std::string>& why) {
  const std::string name = escaped(to.asked.text());
  if (to.addresses.size() == 1 && to.addresses[0].text() == name && why.size() == 1) {
    return fmt::format("cannot connect to {}: {}", name, why[0]);
  }
  std::string tried;
  for (std::size_t i = 0; i < why.size(); ++i) {
    tried += fmt::format("{}{}: {}", i == 0 ? "" : "; ", to.addresses[i].endpoint().host, why[i]);
  }
  return fmt::format("cannot connect to {} (tried {})", name, tried);
}

}  // namespace espalier::net
