// Asks the event loop whether it turns: posts a function, and waits until it has run.
//
// At most one function waits in the loop, however many ask: a loop that stands still costs nothing
// more. Thread-safe; ask() blocks for `patience` at most, unless the loop's queue is full: then
// one thread blocks until the loop turns.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "common/base/clock.h"

namespace espalier::web {

class LoopProbe {
 public:
  using Post = std::function<void(std::function<void()>)>;

  explicit LoopProbe(Post post) : post_(std::move(post)), state_(std::make_shared<State>()) {}

  // How long the loop took to get to it. Nothing: longer than `patience`.
  std::optional<Duration> ask(Duration patience);

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    bool isWaiting = false;  // a function is in the loop's queue
    TimePoint posted;
    Duration took{};
    std::uint64_t turns = 0;
  };

  const Post post_;
  const std::shared_ptr<State> state_;  // the function in the queue may outlive this object
};

}  // namespace espalier::web
