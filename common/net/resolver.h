// Looks up the addresses of host names, for everything that dials or listens.
//
// getaddrinfo(3) may take many seconds and cannot be interrupted. So each look-up runs on a
// detached thread of its own, and its result is dropped if the caller does not wait any more. At
// most limits::kLookUps run at a time, because names also come from the network; one more fails at
// once.
//
// Thread-safe. Look-ups that are under way may outlive the resolver. Called by EventLoop::dialName,
// dialBlocking and the shells of both programs.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/net/address.h"

namespace espalier::net {

// An endpoint as it was given, and its addresses in the order in which they are tried: 1 to
// limits::kHostAddresses.
struct Target {
  Endpoint asked;
  std::vector<Address> addresses;

  // "127.0.0.1:5000"; of a name "localhost:5000 (::1, 127.0.0.1)"
  std::string text() const;
};

// The source of a name. kLookUpsKept look-ups are reserved for names that the user gave.
enum class NamedBy { user, others };

class Resolver {
 public:
  // May block. The ports of the addresses are ignored.
  using LookUp = std::function<Result<std::vector<Address>>(const std::string& host)>;
  using Done = std::function<void(Result<Target>)>;

  // By getaddrinfo unless told otherwise.
  explicit Resolver(LookUp lookUp = {});
  // The resolver of this process.
  static Resolver& ofSystem();

  // From now on a link-local address without an interface is taken to be on this one. Addresses
  // from the network have none, because the numbers of interfaces mean nothing on other machines.
  void useInterface(std::uint32_t number);
  // The target of an IP literal; an error for a malformed one; nothing for a name.
  std::optional<Result<Target>> literal(const Endpoint& endpoint) const;
  // Calls `done` once: before it returns for an IP literal, or where the look-up cannot begin; else
  // later, on the look-up's thread.
  void start(const Endpoint& endpoint, NamedBy who, Done done);
  // The same, waiting for the result: `interrupted` once `stop` asks, `timeout` after that time.
  Result<Target> resolve(const Endpoint& endpoint, NamedBy who, std::stop_token stop,
                         Duration timeout = limits::kLookUpPatience);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

// The sentence that says why no address could be reached; `why` has a reason for each that was
// tried.
std::string connectFailure(const Target& to, const std::vector<std::string>& why);

}  // namespace espalier::net
