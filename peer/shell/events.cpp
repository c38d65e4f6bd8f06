#include "peer/shell/events.h"

#include <algorithm>
#include <utility>

namespace espalier::peer::shell {

void EventBus::publish(Event event) {
  for (const auto& listener : listeners_) listener(event);
  const EventKinds kind = EventKinds{1} << event.index();
  if ((wanted_ & kind) == 0) return;
  const std::lock_guard lock(mutex_);
  for (auto* subscription : subscriptions_) {
    if ((subscription->kinds_ & kind) == 0) continue;
    if (subscription->queue_.size() >= subscription->most_) {
      subscription->queue_.clear();
      subscription->missed_ = true;
    }
    subscription->queue_.push_back(event);
    subscription->changed_.notify_one();
  }
}

EventBus::Subscription::Subscription(EventBus& bus, EventKinds kinds, std::size_t most)
    : bus_(bus), kinds_(kinds), most_(most) {
  const std::lock_guard lock(bus_.mutex_);
  bus_.subscriptions_.push_back(this);
  bus_.wanted_ |= kinds;
}

EventBus::Subscription::~Subscription() {
  const std::lock_guard lock(bus_.mutex_);
  std::erase(bus_.subscriptions_, this);
  EventKinds wanted = 0;
  for (const auto* subscription : bus_.subscriptions_) wanted |= subscription->kinds_;
  bus_.wanted_ = wanted;
}

std::optional<Event> EventBus::Subscription::next(const std::stop_token& stop, TimePoint until) {
  std::unique_lock lock(bus_.mutex_);
  changed_.wait_until(lock, stop, until, [&] { return missed_ || !queue_.empty(); });
  if (std::exchange(missed_, false)) return Missed();
  if (queue_.empty()) return std::nullopt;
  Event event = std::move(queue_.front());
  queue_.pop_front();
  return event;
}

}  // namespace espalier::peer::shell
