#include "common/net/posted_functions.h"

#include <utility>

namespace espalier::net {

bool PostedFunctions::post(Function function) {
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] {
      return closed_ || functions_.size() < limits::kPostedFunctions ||
             std::this_thread::get_id() == runner_;
    });
    if (closed_) return false;
    functions_.push_back(std::move(function));
    if (functions_.size() > 1) return true;  // it has been woken
  }
  wake();
  return true;
}

void PostedFunctions::close() {
  std::vector<Function> dropped;  // their destructors run without the lock
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(functions_);
  }
  room_.notify_all();
}

void PostedFunctions::runHere() {
  const std::lock_guard lock(mutex_);
  runner_ = std::this_thread::get_id();
}

std::vector<PostedFunctions::Function> PostedFunctions::take() {
  std::vector<Function> taken;
  {
    const std::lock_guard lock(mutex_);
    taken.swap(functions_);
  }
  if (taken.size() >= limits::kPostedFunctions) room_.notify_all();
  return taken;
}

}  // namespace espalier::net
