// Starts threads. std::thread throws when the system has no thread left (RLIMIT_NPROC, a cgroup's
// limit on processes, memory). Here that is an error, which the owner handles: it does the work in
// another way, refuses it, or fails. All threads of the programs are started here (tests/tidy).
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

// The same, into a member of the owner or to the end of its list.
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
