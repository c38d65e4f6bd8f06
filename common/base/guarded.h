// Data that cannot be reached without its lock (after KJ's MutexGuarded).
//
//   Guarded<Registry> registry;
//   auto reply = registry.with([&](Registry& r) { return r.join(request); });
//
// Thread-safe. The function runs under the lock. It must not block on a socket or a disk, call back
// into the owner, or hand out a reference to the data.
#pragma once

#include <mutex>
#include <utility>

namespace espalier {

template <typename T>
class Guarded {
 public:
  template <typename... Args>
  explicit Guarded(Args&&... args) : value_(std::forward<Args>(args)...) {}

  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  template <typename Function>
  auto with(Function&& function) {
    const std::lock_guard lock(mutex_);
    return std::forward<Function>(function)(value_);
  }

  template <typename Function>
  auto with(Function&& function) const {
    const std::lock_guard lock(mutex_);
    return std::forward<Function>(function)(value_);
  }

 private:
  mutable std::mutex mutex_;
  T value_;
};

}  // namespace espalier
