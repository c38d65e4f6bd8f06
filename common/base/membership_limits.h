// Bounds of joining, coming back and linking; see limits.h.
#pragma once

#include "common/base/limits.h"

namespace espalier::limits {

inline constexpr auto kJoinRetryLeast = 500ms;  // without a prompt a peer that is not in the
inline constexpr auto kJoinRetryMost = 5s;      // network yet tries again after that: doubles
inline constexpr auto kContestSilence = 3s;     // of a child, under whose id somebody else asks
inline constexpr auto kRefusedRetry = 30s;      // a member whose id somebody else has by now
// Of a metaserver: members that were lost without a word, kept so that they can come back as they
// were. As many as it can have connections: all may be cut at once.
inline constexpr std::size_t kAbsentMembers = 131'072;
inline constexpr auto kAbsentKept = 10min;
// Orders of joining that a state file lacks after a crash: what a metaserver gives while it writes.
inline constexpr std::uint64_t kOrdersUnwritten = 4096;
inline constexpr auto kUnwrittenBelieved = 30s;  // peers come back within kReconnectMost or two

static_assert(kRejoinWait < kAbsentKept && kAbsentMembers >= kConnections);
static_assert(kReconnectMost < kRejoinWait, "an honest peer comes back while its id is held");
static_assert(kRejoinWait < kUnwrittenBelieved && kAbsentMembers <= kMembers);
static_assert(kMembers + kOrdersUnwritten < kJoinOrder);
static_assert(kHeartbeatInterval < kContestSilence && kContestSilence < kHoldTimeout);

}  // namespace espalier::limits
