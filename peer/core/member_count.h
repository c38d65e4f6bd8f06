// How many members the network has, as one search of this peer's own counts them: the M of
// "searched N of M".
//
//   unasked --MembersRequest--> asked --Members--> told
//      |                          |
//      +-- no metaserver to ask --+--> unsure
//
//   unasked  the tree's count or the metaserver's last one: both may be out of date
//   asked    until the metaserver answers; a search waits for that no longer than its grace
//   told     as the metaserver said; peers that joined later do not count. One of several also
//            tells whom it counts, so that members on the other side of a cut do not count
//   unsure   the metaserver is out of reach
//
// Every search asks, because no two numbers that this peer has prove that nobody has joined since.
// Until it is told, the count is a lower bound, which rises with the number of peers that are
// covered or named as missing, up to the number that may speak over the links.
//
// A value; not thread-safe. Each call costs O(1), or O(ranges of orders).
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/wire/registry.h"
#include "peer/core/coverage.h"

namespace espalier::peer {

class MemberCount {
 public:
  enum class State { unasked, asked, told, unsure };

  explicit MemberCount(std::uint64_t members)
      : members_(std::clamp<std::uint64_t>(members, 1, limits::kMembers)) {}
  explicit MemberCount(const wire::Members& members) : MemberCount(members.count) {
    state_ = State::told;
    newest_ = members.newest;
    for (const auto& range : members.orders) orders_.add(range);
  }

  State state() const { return state_; }
  // Whether the metaserver can still change it.
  bool isOpen() const { return state_ == State::unasked || state_ == State::asked; }

  std::uint64_t members() const { return members_; }
  // How many of those that have answered count.
  std::uint64_t countIn(const Coverage& answered) const {
    if (!orders_.empty()) return answered.sizeWithin(orders_);
    return newest_ == kNoOrder ? answered.size() : answered.sizeUpTo(newest_);
  }
  // How many have answered that the metaserver did not know, though they had joined: members on the
  // other side of a cut. 0 if it does not tell whom it knows.
  std::uint64_t countBeyond(const Coverage& answered) const {
    return orders_.empty() ? 0 : answered.sizeBeyond(orders_, newest_);
  }

  // So many peers are covered or named as missing, of which at most `most` can exist.
  void raise(std::uint64_t peers, std::uint64_t most) {
    if (state_ != State::told) members_ = std::max(members_, std::min(peers, most));
  }
  // The metaserver was asked by the request with that number.
  void ask(std::uint64_t request = 0) {
    if (state_ != State::unasked) return;
    state_ = State::asked;
    request_ = request;
  }
  // What the metaserver answered; nothing: it will not answer. The answer to an earlier request
  // does not count: a peer may have joined since.
  void tell(const std::optional<wire::Members>& answer) {
    if (!isOpen() || (answer && answer->number < request_)) return;
    if (answer) {
      *this = MemberCount(*answer);
    } else {
      state_ = State::unsure;
    }
  }

 private:
  State state_ = State::unasked;
  std::uint64_t members_;
  JoinOrder newest_ = kNoOrder;  // the highest join order that counts; kNoOrder: all count
  Coverage orders_;              // those that count; empty: all up to newest_
  std::uint64_t request_ = 0;    // the first one that asked for it
};

}  // namespace espalier::peer
