// Looks up the addresses of host names, for everything that dials or listens.
//
// getaddrinfo(3) may take many seconds and can't be interrupted. So each look-up runs on a thread
// of its own that nobody joins, and its result is dropped when nobody waits for it any more. At
// most kLookUps are under way at a time, whoever waits; one more is refused, because the
// names of others' hosts come from the network.
//
// Thread-safe. Look-ups that are under way may outlive the resolver.
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
#include "common/base/result.h"
#include "common/net/address.h"

namespace espalier::net {

inline constexpr std::size_t kLookUps = 16;       // at once: a thread each
inline constexpr std::size_t kLookUpsKept = 4;    // of them, for names that this user gave
inline constexpr std::size_t kHostAddresses = 8;  // of one name: more than a machine has
inline constexpr auto kLookUpPatience = std::chrono::seconds(10);  // the system's for two servers

// An endpoint as it was given, and its addresses in the order in which they are to be tried: at
// least one, kHostAddresses at most.
struct Target {
  Endpoint asked;
  std::vector<Address> addresses;

  // "127.0.0.1:5000"; of a name "localhost:5000 (::1, 127.0.0.1)"
  std::string text() const;
};

// Who gave a name: those that come from the network may not take the place of the user's own.
enum class NamedBy { user, others };

class Resolver {
 public:
  // May block. The port of what it returns does not count.
  using LookUp = std::function<Result<std::vector<Address>>(const std::string& host)>;
  using Done = std::function<void(Result<Target>)>;

  // By getaddrinfo unless told otherwise.
  explicit Resolver(LookUp lookUp = {});
  // The one that all of this process uses.
  static Resolver& ofSystem();

  // A link-local address that comes without its interface is taken to be on this one from now on:
  // others' hosts come without, because the numbers of interfaces mean nothing elsewhere.
  void useInterface(std::uint32_t number);
  // What needs no look-up; none: it has to be looked up. An error: it can be neither.
  std::optional<Result<Target>> literal(const Endpoint& endpoint) const;
  // Calls `done` once: at once for an IP literal, or where the look-up can't begin; else on a
  // thread of the look-up's own, at any time.
  void start(const Endpoint& endpoint, NamedBy who, Done done);
  // Waits for it: `interrupted` once `stop` asks, `timeout` when that has passed.
  Result<Target> resolve(const Endpoint& endpoint, NamedBy who, std::stop_token stop,
                         Duration timeout = kLookUpPatience);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

// Why none of the addresses could be reached: `why` has a reason for each of them that was tried.
std::string connectFailure(const Target& to, const std::vector<std::string>& why);

}  // namespace espalier::net
