#include "peer/core/redirects.h"

#include <algorithm>

#include "common/base/limits.h"

namespace espalier::peer {

bool Redirects::hasStayed(TimePoint now) const {
  return admittedAt_ != kNever && now - admittedAt_ >= limits::kRedirectStay;
}

bool Redirects::mayFollow(TimePoint now) const {
  return now >= notBefore_ && (inRow_ < limits::kRedirects || hasStayed(now));
}

void Redirects::followed(TimePoint now) {
  if (hasStayed(now)) {
    inRow_ = 0;
    pause_ = Duration::zero();
  }
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
