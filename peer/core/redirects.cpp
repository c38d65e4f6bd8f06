#include "peer/core/redirects.h"

#include <algorithm>

namespace espalier::peer {

bool Redirects::hasStayed(Duration time, TimePoint now) const {
  return admittedAt_ != kNever && now - admittedAt_ >= time;
}

bool Redirects::mayFollow(TimePoint now) const {
  return now >= notBefore_ && (inRow_ < limits::kRedirects || hasStayed(kRedirectRest, now));
}

void Redirects::followed(TimePoint now) {
  if (hasStayed(kRedirectRest, now)) inRow_ = 0;
  if (hasStayed(limits::kRedirectStay, now)) pause_ = Duration::zero();
  ++inRow_;
  admittedAt_ = kNever;
}

void Redirects::admitted(TimePoint now) {
  admittedAt_ = now;
}

void Redirects::failed(TimePoint now) {
  inRow_ = 0;
  pause_ =
      std::clamp<Duration>(2 * pause_, limits::kRedirectRetryLeast, limits::kRedirectRetryMost);
  notBefore_ = now + pause_;
}

}  // namespace espalier::peer
