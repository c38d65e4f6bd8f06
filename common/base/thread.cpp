#include "common/base/thread.h"

#include <fmt/format.h>

#include <system_error>

namespace espalier {
namespace {

template <typename Run>
Result<std::jthread> start(Run run) {
  try {
    return std::jthread(std::move(run));
  } catch (const std::system_error& error) {
    return Error{ErrorCode::io,
                 fmt::format("cannot start a thread: {} (the limit on this user's processes and "
                             "threads, ulimit -u, or on those of its service is reached)",
                             error.code().message())};
  }
}

}  // namespace

Result<std::jthread> startThread(std::function<void(std::stop_token)> run) {
  return start(std::move(run));
}

Result<std::jthread> startThread(std::function<void()> run) {
  return start(std::move(run));
}

}  // namespace espalier
