#include "peer/transfer/ready_set.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <climits>

namespace espalier::transfer {
namespace {

constexpr std::size_t kEventsAtOnce = 64;

}  // namespace

ReadySet::ReadySet() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kNone;
  if (epoll_ && wakeUp_ &&
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wakeUp_.descriptor(), &event) != 0) {
    epoll_.reset();
  }
}

bool ReadySet::watch(int descriptor, Key key, For what, bool isNew) {
  epoll_event event{};
  // The end of what it sends is nothing new to an asker that is to take bytes: it would be ready
  // again and again.
  event.events = EPOLLONESHOT | (what == For::reading ? EPOLLIN | EPOLLRDHUP : EPOLLOUT);
  event.data.u64 = key;
  const int operation = isNew ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  return ::epoll_ctl(epoll_.get(), operation, descriptor, &event) == 0;
}

std::vector<ReadySet::Key> ReadySet::wait(std::chrono::milliseconds atMost) {
  std::array<epoll_event, kEventsAtOnce> events{};
  const auto milliseconds = static_cast<int>(std::clamp<std::int64_t>(atMost.count(), -1, INT_MAX));
  const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, milliseconds);
  std::vector<Key> keys;
  for (int i = 0; i < count; ++i) {
    const Key key = events.at(static_cast<std::size_t>(i)).data.u64;
    if (key == kNone) {
      wakeUp_.clear();
    } else {
      keys.push_back(key);
    }
  }
  return keys;
}

}  // namespace espalier::transfer
