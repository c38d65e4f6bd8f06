// The other metaservers that this one has seen within the last day: for `servers`, which shows the
// dead among them, and to dial them after a restart. Kept in STATE/metaservers, a text file:
//
//   espalier-metaservers 1
//   <seen> <started> <host:port> <name>     a line a metaserver; both times since 1970, in seconds
//                                           and milliseconds
//
//   unknown --see()--> alive --not seen--> dead --forget(), a day later, displaced--> unknown
//                        ^                   |
//                        +------ see() ------+
//
// One that is seen displaces others of its name and of its address. Times are of the wall clock,
// exact to kSeenStep: so the file seldom changes.
//
// Bounds: limits::kServerAddresses metaservers; the one that was seen first of all makes room.
// Invariants: names and addresses are there once. No I/O. Not thread-safe: the server keeps it in a
// Guarded. O(n).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/result.h"

namespace espalier::metaserver::shell {

struct SeenServer {
  std::chrono::seconds seen{};
  std::chrono::milliseconds started{};
  Endpoint address;
  ServerName name;

  bool operator==(const SeenServer&) const = default;
};

class SeenServers {
 public:
  static constexpr std::chrono::seconds kSeenFor = std::chrono::hours(24);
  static constexpr std::chrono::seconds kSeenStep = std::chrono::minutes(1);

  // It lives now: `server.seen`.
  void see(SeenServer server);
  // Removes those that were not seen for a day.
  void age(std::chrono::seconds now);
  // Returns what is removed.
  std::optional<SeenServer> forget(const ServerName& name);
  // By name.
  const std::vector<SeenServer>& all() const { return servers_; }

  bool isChanged() const { return isChanged_; }
  // The text of the file, if it has changed since the last time, or `again`.
  std::optional<std::string> takeText(bool again);
  // Lines that are no metaservers are left out. An error (`configuration`): a newer version.
  Result<void> parse(std::string_view path, std::string_view text);

 private:
  std::vector<SeenServer> servers_;
  bool isChanged_ = false;
};

}  // namespace espalier::metaserver::shell
