// The part of Pushes that decides which pushes have a place, when there are more than
// limits::kPushes.
#include <map>
#include <optional>
#include <tuple>

#include "peer/core/push.h"

namespace espalier::peer {

bool Pushes::isDeparted(const PeerId& origin) const {
  return !origin.empty() && linkTo(origin) == links_.end();
}

// The origins share the places. Those whose links are gone have one share in common. Who has most
// loses the push that is spared most easily; `origin`, which wants another one, loses its own
// before others lose theirs. Of equals the last that came is lost: a flood comes after what it is
// to displace. Anybody behind an origin can use a sender's name. So senders share by the number of
// their pushes that are real and that nobody awaits, and lose only such.
bool Pushes::makeRoom(const PeerId& origin, const PeerId& sender, TimePoint now, Effects& fx) {
  if (pushes_.size() < limits::kPushes) return true;
  std::size_t departed = 0;
  std::map<PeerId, std::size_t> ofOrigin;
  std::map<PeerId, std::size_t> doneOfSender;  // of that origin
  const auto isDone = [&](const OpenPush& push) {
    return push.origin() == origin && push.isReal(self_.id) && !push.isAwaited();
  };
  for (const auto& [id, push] : pushes_) {
    ++ofOrigin[push.origin()];
    if (isDeparted(push.origin())) ++departed;
    if (isDone(push)) ++doneOfSender[push.offer().sender.id];
  }
  const std::size_t wanted = ++ofOrigin[origin];
  const std::size_t wantedOfSender = doneOfSender[sender] + 1;
  // How many places the share, and the origin, of a push have; who has most loses one.
  using Rank = std::tuple<std::size_t, bool, std::size_t, int, std::size_t>;
  std::optional<Rank> best;
  auto spared = pushes_.end();
  for (auto each = pushes_.begin(); each != pushes_.end(); ++each) {
    const OpenPush& push = each->second;
    const bool isOwn = push.origin() == origin;
    const std::size_t ofItsOrigin = ofOrigin[push.origin()];
    const std::size_t ofItsShare = isDeparted(push.origin()) ? departed : ofItsOrigin;
    const std::size_t ofItsSender = isDone(push) ? doneOfSender[push.offer().sender.id] : 0;
    const bool isReplacedByReal = isOwn && sender == origin && !push.isReal(self_.id);
    const bool forFairness =
        ofItsShare > wanted || isReplacedByReal || ofItsSender > wantedOfSender;
    const int spareness = push.spareness(forFairness, self_.id, now);
    if (ofItsShare < wanted || spareness == 0) continue;
    const Rank rank(ofItsShare, isOwn, ofItsOrigin, spareness, ofItsSender);
    if (!best || rank > *best || (rank == *best && push.heardAt() > spared->second.heardAt())) {
      best = rank;
      spared = each;
    }
  }
  if (spared == pushes_.end()) return false;
  const bool isUndecided = spared->second.waitsUntil() != kNever;
  declineUndecided(spared->second, now, fx);
  if (spared->second.taking() != nullptr) {
    giveUp(spared->second, "nothing arrived, and other pushes need the place", now, fx);
  } else if (!isUndecided) {
    forget(spared, fx);
    return true;
  }
  for (auto& [connection, link] : links_) link.flush(connection, pushes_, now, fx);
  forget(spared, fx);
  return true;
}

}  // namespace espalier::peer
