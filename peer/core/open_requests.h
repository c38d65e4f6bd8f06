// The requests of a session that the metaserver has not answered yet: TopologyRequest,
// MembersRequest, Rate, StatisticsRequest, RoomListRequest, RoomWhoRequest, and Links that request
// Strangers. Each gets a number,
// and its answer repeats it.
//
//   add() --> open --take(its answer), or clear()--> gone
//
// A reply is an answer only if a request of its kind with its number is open. An old metaserver
// repeats no numbers, but answers the requests of one kind in their order: such a reply answers the
// oldest one. Once a reply had a number, replies without one answer nothing.
//
// Bounds: limits::kOpenRequests of each kind; one more, and the oldest is forgotten. Numbers are
// never used again, in later sessions neither. Does no I/O. Not thread-safe. O(log n) a call. Owned
// by MetaserverSession.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/wire/registry.h"

namespace espalier::peer {

class OpenRequests {
 public:
  // Numbers the request. 0, and nothing is added, if it is of a kind that has no number.
  std::uint64_t add(wire::RegistryRequest& request);
  // Whether the reply is of a kind that is only sent as an answer to a numbered request.
  static bool isAnswer(const wire::RegistryReply& reply);
  // The number of the request that it answers, which is not open any more; none: nothing was asked.
  std::optional<std::uint64_t> take(const wire::RegistryReply& reply);
  // The session has ended.
  void clear();
  // It goes on at another metaserver: the requests to be sent there again. Links are not among
  // them, because they are reported anew.
  std::vector<wire::RegistryRequest> movedOn();

 private:
  enum Kind : std::size_t { topology, members, links, kKinds };
  // Of Rate and the requests of newer kinds, whose answers always repeat it.
  std::uint64_t addWhole(wire::RegistryRequest& request, std::uint64_t& field);
  template <typename Request>
  std::optional<std::uint64_t> takeWhole(std::uint64_t number);

  // By number: of a topology what was asked for.
  struct Asked {
    JoinOrder after = kNoOrder;
    PeerId id = {};
  };
  std::array<std::map<std::uint64_t, Asked>, kKinds> open_;
  std::map<std::uint64_t, wire::RegistryRequest> whole_;
  std::uint64_t last_ = 0;
  bool repeatsNumbers_ = false;
};

}  // namespace espalier::peer
