// The connections between this metaserver and one other. Usually there is one. There are several if
// both ends dialled, or if one end lost a connection and dialled again before the other end
// noticed.
//
// Both ends keep the same one: that which the lower number dialled, of several of these the one
// that was dialled last (each end numbers its dials, and tells the number). Who dialled the kept
// one closes the others: it learns of the kept one last, so the other end has it already and the
// link never goes down meanwhile. The other end keeps its spare ones until then: if the kept one
// closes, a spare one takes its place.
//
// Times are what the caller's clock counts. No I/O. Not thread-safe. O(connections), a handful.
// Owned by the mesh, which bounds their number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"

namespace espalier::metaserver::cluster {

class PairConnections {
 public:
  struct Dial {
    bool here = false;         // by this end
    bool byLower = false;      // by the end with the lower number
    std::uint64_t number = 0;  // of the dials of that end
  };

  void add(ConnectionId connection, const Dial& dial, Duration now);
  void remove(ConnectionId connection);
  // Something arrived on that connection, which must be one of these.
  void heard(ConnectionId connection, Duration now);

  bool empty() const { return connections_.empty(); }
  std::size_t size() const { return connections_.size(); }
  // There must be one.
  ConnectionId kept() const { return connections_.front().id; }
  // When something arrived on each.
  std::vector<Duration> heardAt() const;
  bool isHeardSince(Duration moment) const;

  // These remove connections that the caller then closes. The spare ones, if this end closes them:
  std::vector<ConnectionId> takeSpare();
  // Those that were heard at `moment` or before:
  std::vector<ConnectionId> takeSilent(Duration moment);
  std::vector<ConnectionId> takeAll();

 private:
  struct Connection {
    ConnectionId id{};
    Dial dial;
    Duration heardAt{};
  };
  std::vector<Connection> connections_;  // the kept one first
};

}  // namespace espalier::metaserver::cluster
