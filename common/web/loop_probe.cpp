#include "common/web/loop_probe.h"

namespace espalier::web {

std::optional<Duration> LoopProbe::ask(Duration patience) {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  const auto turns = state.turns;
  if (!state.isWaiting) {
    state.isWaiting = true;
    state.posted = Clock::now();
    lock.unlock();
    post_([shared = state_] {
      const std::lock_guard guard(shared->mutex);
      shared->isWaiting = false;
      shared->took = Clock::now() - shared->posted;
      ++shared->turns;
      shared->changed.notify_all();
    });
    lock.lock();
  }
  const bool hasTurned =
      state.changed.wait_for(lock, patience, [&] { return state.turns != turns; });
  if (!hasTurned) return std::nullopt;
  return state.took;
}

}  // namespace espalier::web
