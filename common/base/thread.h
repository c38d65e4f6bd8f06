// Starts threads. A system that has none left (RLIMIT_NPROC, a cgroup's limit on processes, memory)
// makes std::thread throw; every thread of the programs is started here instead, so that its owner
// must say what happens then: it does the work otherwise, refuses it, or fails with this error.
#pragma once

#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/result.h"

namespace espalier {

// With or without a stop token as its argument. An error has the code `io`.
Result<std::jthread> startThread(std::function<void(std::stop_token)> run);
Result<std::jthread> startThread(std::function<void()> run);

// The same into a member of who needs it, or to the end of a list of them.
template <typename Run>
Result<void> startThread(std::jthread& thread, Run run) {
  auto started = startThread(std::move(run));
  if (!started) return started.error();
  thread = std::move(*started);
  return {};
}
template <typename Run>
Result<void> startThread(std::vector<std::jthread>& threads, Run run) {
  auto started = startThread(std::move(run));
  if (!started) return started.error();
  threads.push_back(std::move(*started));
  return {};
}

}  // namespace espalier
