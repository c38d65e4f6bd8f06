// What the metaserver says of this peer's neighbours. Whoever dials a peer can be its neighbour,
// under any id; a stranger is one that nobody let into the network.
//
//   unknown --ask--> asked --answer--> member <--------------------------+
//                      |                                                 | answer
//                      +--> unconfirmed --kUnconfirmed--> doubtful ------+  the member does not
//                      |                                     |kDisowned     report the link (yet):
//                      +-------------------------------------+--> stranger  asked again
//
// The question is a number in the report of the links. Invariants: only the answer to the last
// question counts, and only for the neighbours that it was about; a metaserver that does not answer
// makes nobody a stranger. An absent member, whose connection to the metaserver was lost, is none.
//
// A value; does no I/O, not thread-safe. Each call costs O(n log n) for n neighbours.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/registry.h"

namespace espalier::peer {

class LinkCheck {
 public:
  enum class Standing { member, unconfirmed, doubtful, stranger };

  // How long a member may take to report its link. A report comes at once, if its way is free. If
  // not, it comes when the member's connection to the metaserver has recovered.
  static constexpr Duration kUnconfirmed = std::chrono::seconds(5);
  static constexpr Duration kDisowned = std::chrono::seconds(20);
  static constexpr Duration kAgain = std::chrono::seconds(30);  // until the next question

  // These links were reported, and the metaserver asked, by the request of that number.
  void asked(std::uint64_t number, const std::vector<std::pair<PeerId, ConnectionId>>& links,
             TimePoint now) {
    number_ = number;
    asked_.clear();
    for (const auto& [id, connection] : links) asked_[id] = connection;
    std::erase_if(since_, [&](const auto& each) {
      return std::none_of(links.begin(), links.end(),
                          [&](const auto& link) { return link.second == each.first; });
    });
    askAt_ = links.empty() ? kNever : now + kAgain;
  }

  // The standing of each neighbour that was asked for.
  std::map<ConnectionId, Standing> answered(const wire::Strangers& answer, TimePoint now) {
    std::map<ConnectionId, Standing> standings;
    if (answer.number != number_) return standings;
    for (const auto& [id, connection] : asked_) standings[connection] = Standing::member;
    for (const auto& id : answer.ids) set(id, Standing::stranger, standings);
    for (const auto& id : answer.unconfirmed) {
      const auto link = asked_.find(id);
      if (link == asked_.end()) continue;
      const auto since = since_.try_emplace(link->second, now).first->second;
      standings[link->second] = now >= since + kDisowned      ? Standing::stranger
                                : now >= since + kUnconfirmed ? Standing::doubtful
                                                              : Standing::unconfirmed;
      if (now < since + kDisowned) askAt_ = std::min<TimePoint>(askAt_, now + kUnconfirmed / 2);
    }
    for (const auto& [connection, standing] : standings) {
      if (standing == Standing::member) since_.erase(connection);
    }
    asked_.clear();
    return standings;
  }

  // The metaserver is out of reach.
  void stop() {
    asked_.clear();
    since_.clear();
    askAt_ = kNever;
  }

  // When to ask again.
  TimePoint deadline() const { return askAt_; }

 private:
  void set(const PeerId& id, Standing standing, std::map<ConnectionId, Standing>& standings) const {
    const auto link = asked_.find(id);
    if (link != asked_.end()) standings[link->second] = standing;
  }

  std::uint64_t number_ = 0;
  std::map<PeerId, ConnectionId> asked_;
  std::map<ConnectionId, TimePoint> since_;  // unconfirmed
  TimePoint askAt_ = kNever;
};

}  // namespace espalier::peer
