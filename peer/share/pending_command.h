// A command for the indexer's thread, and the caller that waits for its result.
//
//   waiting --run()--> running --> ended
//      |                  |
//      +-- the caller gives up: it is not run any more; one that runs already goes on
//
// The command must not refer to its caller's stack: it may outlive the caller's wait.
//
// Thread rule: run() on the indexer's thread, once; wait() on the caller's, once. Shared by both
// through a shared_ptr.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "common/base/clock.h"
#include "common/base/result.h"

namespace espalier::share {

class PendingCommand {
 public:
  using Command = std::function<Result<void>()>;

  explicit PendingCommand(Command command) : command_(std::move(command)) {}

  void run() {
    {
      const std::lock_guard lock(mutex_);
      if (givenUp_) return;
      begun_ = true;
    }
    auto result = command_();
    const std::lock_guard lock(mutex_);
    result_ = std::move(result);
    changed_.notify_all();
  }

  // `interrupted` if `stop` is triggered first, `timeout` if `patience` has passed. The message
  // says whether the command may still take effect.
  Result<void> wait(Duration patience, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, stop, patience, [this] { return result_.has_value(); })) {
      return *std::move(result_);
    }
    givenUp_ = true;
    const std::string fate = begun_ ? "; the change has begun and may still take effect" : "";
    if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted" + fate};
    return Error{ErrorCode::timeout, "the share does not answer: its disk may be busy" +
                                         (begun_ ? fate : "; try again")};
  }

 private:
  const Command command_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::optional<Result<void>> result_;
  bool begun_ = false;
  bool givenUp_ = false;
};

}  // namespace espalier::share
