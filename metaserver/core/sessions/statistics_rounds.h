// Adds up what all metaservers of the cluster have counted: each answers for itself.
//
//   begin() --> asking --all have answered, or limits::kStatisticsWait is over--> done: takeDone()
//
// A metaserver that is dead, out of reach or silent is named as missing. Who asks for as many days
// as a round that is under way joins it, and gets the same answer.
//
// Bounds: limits::kStatisticsRounds under way, each for another number of days; one more is
// answered with what this one has, and all others missing. Who asks is bounded by Rate::statistics.
// Does no I/O. Not thread-safe. O(metaservers * days) a round, O(days) for each who joins it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/statistics.h"

namespace espalier::metaserver::sessions {

// The numbers of both added up; the earlier beginning.
void add(wire::Statistics& to, const wire::Statistics& more);

class StatisticsRounds {
 public:
  struct Server {
    ServerNumber number{};
    ServerName name;
  };
  struct Done {
    std::uint64_t asker = 0;
    wire::Statistics sum;
  };

  // False: no round for so many days is under way.
  bool join(std::uint64_t asker, std::size_t days);
  // `own`: of this metaserver. The number of the question for the others; none: nobody is asked.
  std::optional<std::uint64_t> begin(std::uint64_t asker, std::size_t days, wire::Statistics own,
                                     const std::vector<Server>& others,
                                     const std::vector<ServerName>& dead, TimePoint now);
  void answered(ServerNumber from, const wire::Statistics& answer);
  void tick(TimePoint now);
  TimePoint deadline() const;
  std::vector<Done> takeDone() { return std::exchange(done_, {}); }

 private:
  struct Round {
    std::vector<std::uint64_t> askers;
    std::size_t days = 0;
    TimePoint until;
    wire::Statistics sum;
    std::map<ServerNumber, ServerName> waiting;
  };
  void finish(std::map<std::uint64_t, Round>::iterator round);

  std::map<std::uint64_t, Round> rounds_;  // by number, so also by time
  std::uint64_t last_ = 0;
  std::vector<Done> done_;
};

}  // namespace espalier::metaserver::sessions
