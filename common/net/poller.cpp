#include "common/net/poller.h"

#include <algorithm>
#include <cerrno>

namespace espalier::net {

Result<Poller> Poller::create() {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return systemError("cannot create an epoll instance", errno);
  return Poller(epoll);
}

Result<void> Poller::add(int descriptor, std::uint32_t events, EventSource& source) {
  return control(EPOLL_CTL_ADD, descriptor, events, &source);
}

Result<void> Poller::change(int descriptor, std::uint32_t events, EventSource& source) {
  return control(EPOLL_CTL_MOD, descriptor, events, &source);
}

void Poller::remove(int descriptor) {
  [[maybe_unused]] const auto removed = control(EPOLL_CTL_DEL, descriptor, 0, nullptr);
}

Result<void> Poller::control(int operation, int descriptor, std::uint32_t events,
                             EventSource* source) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = source;
  if (::epoll_ctl(epoll_.get(), operation, descriptor, &event) == 0) return {};
  return systemError("cannot wait for a descriptor", errno);
}

int Poller::wait(int milliseconds) {
  const int count =
      ::epoll_wait(epoll_.get(), events_.data(), limits::kEventsPerRound, milliseconds);
  next_ = 0;
  count_ = std::max(count, 0);
  return count_;
}

void Poller::dispatch() {
  while (next_ < count_) {
    const epoll_event& event = events_[static_cast<std::size_t>(next_++)];
    auto* source = static_cast<EventSource*>(event.data.ptr);
    if (source != nullptr) source->onEvents(event.events);
  }
}

void Poller::forget(const EventSource& source) {
  for (int i = next_; i < count_; ++i) {
    epoll_event& event = events_[static_cast<std::size_t>(i)];
    if (event.data.ptr == &source) event.data.ptr = nullptr;
  }
}

}  // namespace espalier::net
