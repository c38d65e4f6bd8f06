#include "peer/shell/join_alone.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "common/base/backoff.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/random.h"

namespace espalier::peer::shell {
namespace {

// Waits. False: `stop` was triggered.
bool waitFor(Duration pause, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, pause, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace

Result<Joined> joinAlone(JoinService& joiner, const PeerId& id, const std::string& word,
                         WithoutMetaserver without, std::stop_token stop) {
  Random random = seededFromKernel();
  Backoff backoff(limits::kJoinRetryLeast, limits::kJoinRetryMost);
  bool told = false;
  while (true) {
    auto attempt = joiner.join(id, word, stop);
    switch (attempt.end) {
      case JoinAttempt::End::joined:
        return std::move(attempt.joined);
      case JoinAttempt::End::wordRefused:
        return Error{ErrorCode::refused, refusedWord(word, joiner.joinWord())};
      case JoinAttempt::End::unavailable:
        break;
      default:
        return attempt.error;
    }
    if (without == WithoutMetaserver::fail) return attempt.error;
    if (!std::exchange(told, true)) {
      log::warning("{}; this peer tries again until it is in the network", attempt.error.message);
    }
    if (!waitFor(backoff.next(random), stop)) return Error{ErrorCode::interrupted, "interrupted"};
  }
}

}  // namespace espalier::peer::shell
