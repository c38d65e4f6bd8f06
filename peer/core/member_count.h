// How many members the network has, as one search of this peer's own counts them: the M of
// "searched N of M".
//
//   believed --what was covered differs--> doubted --MembersRequest--> asked --Members--> told
//                                             |                          |
//                                             +-- no metaserver to ask --+--> unsure
//
//   believed  the tree's count, and the metaserver said the same last
//   doubted   the two differ, or the answers do not fit: the metaserver is to be asked
//   asked     until the metaserver answers; a search waits for that no longer than its grace
//   told      as the metaserver said; peers that joined later do not count
//   unsure    the metaserver is out of reach
//
// Until it is told, the count is a lower bound, which rises with the number of peers that are
// covered, up to the number that may speak over the links.
//
// A count that was believed when the search began is told only at its end, when a member may have
// died meanwhile. Such a member was asked and still counts: a peer that is named as missing raises
// the count up to what was believed.
//
// A value; not thread-safe. Each call costs O(1).
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/wire/registry.h"

namespace espalier::peer {

class MemberCount {
 public:
  enum class State { believed, doubted, asked, told, unsure };

  MemberCount(State state, std::uint64_t members)
      : state_(state), members_(std::clamp<std::uint64_t>(members, 1, limits::kMembers)) {}
  explicit MemberCount(const wire::Members& members) : MemberCount(State::told, members.count) {
    newest_ = members.newest;
  }

  State state() const { return state_; }
  // Whether the metaserver can still change it.
  bool isOpen() const { return state_ != State::told && state_ != State::unsure; }
  // Whether a search that has heard so many need not wait for the metaserver.
  bool isTrusted() const { return state_ != State::doubted && state_ != State::asked; }

  std::uint64_t members() const { return members_; }
  // The highest join order that counts; kNoOrder: all count.
  JoinOrder newest() const { return newest_; }

  // So many peers are covered, of which at most `most` can exist.
  void raise(std::uint64_t covered, std::uint64_t most) {
    if (state_ != State::told) members_ = std::max(members_, std::min(covered, most));
  }
  // At the end: so many peers are covered or named as missing.
  void raiseByMissing(std::uint64_t peers, std::uint64_t most) {
    members_ = std::max(members_, std::min(peers, state_ == State::told ? believed_ : most));
  }
  void doubt() {
    if (state_ != State::believed) return;
    state_ = State::doubted;
    believed_ = members_;
  }
  void ask() {
    if (state_ == State::doubted) state_ = State::asked;
  }
  // What the metaserver answered; nothing: it will not answer.
  void tell(const std::optional<wire::Members>& answer) {
    if (state_ != State::doubted && state_ != State::asked) return;
    state_ = answer ? State::told : State::unsure;
    if (!answer) return;
    members_ = MemberCount(*answer).members_;
    newest_ = answer->newest;
  }

 private:
  State state_;
  std::uint64_t members_;
  std::uint64_t believed_ = 0;  // until it was doubted; 0 if it was from the start
  JoinOrder newest_ = kNoOrder;
};

}  // namespace espalier::peer
