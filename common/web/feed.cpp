#include "common/web/feed.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/limits.h"
#include "common/base/log_history.h"
#include "common/base/random.h"
#include "common/base/thread.h"

namespace espalier::web {
namespace {

constexpr int kRest = 19;  // tuning: parts of rest to one of work

std::uint64_t newEpoch() {
  std::array<std::uint8_t, 4> bytes{};
  fillFromKernel(bytes);
  std::uint64_t epoch = 0;
  for (const auto byte : bytes) epoch = epoch * 256 + byte;
  return epoch;
}

}  // namespace

Feed::Feed(Source& source) : source_(source), ring_(newEpoch()) {}

Feed::~Feed() {
  stop();
}

Result<void> Feed::start() {
  return startThread(thread_, [this](const std::stop_token& stop) { run(stop); });
}

void Feed::stop() {
  hasStopped_ = true;
  {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Feed::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [this] { return followers_ > 0; })) return;
    }
    const TimePoint begun = Clock::now();
    look();
    const Duration took = Clock::now() - begun;
    const Duration rest = std::max<Duration>(limits::kWebBatchInterval - took, took * kRest);
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop, rest, [] { return false; });
  }
}

void Feed::look() {
  const std::lock_guard one(looking_);
  Picture picture = source_.picture();
  const auto lines = log::history([this] {
    const std::lock_guard lock(mutex_);
    return lastLine_;
  }());
  const std::lock_guard lock(mutex_);
  eachChange(picture_, picture,
             [this](const Change& change) { ring_.add(kindOf(change), jsonOf(change)); });
  for (const auto& line : lines) {
    const std::string value = lineOf(line.text);
    const std::string key = std::to_string(line.number);
    ring_.add("set", "{\"in\":\"log\",\"key\":\"" + key + "\",\"value\":" + value + "}");
    lastLine_ = line.number;
  }
  picture_ = std::move(picture);
  changed_.notify_all();
}

std::string Feed::state() {
  const bool isOld = [this] {
    const std::lock_guard lock(mutex_);
    return followers_ == 0 || picture_.empty();
  }();
  if (isOld) look();
  const auto lines = log::history(0);
  const std::lock_guard lock(mutex_);
  Picture whole = picture_;
  auto& group = whole["log"];
  for (const auto& line : lines) {
    if (line.number <= lastLine_) group[std::to_string(line.number)] = lineOf(line.text);
  }
  return "{\"id\":\"" + ring_.last().text() + "\",\"state\":" + jsonOf(whole) + "}";
}

Feed::Follower::Follower(Feed& feed) : feed_(feed) {
  const std::lock_guard lock(feed_.mutex_);
  ++feed_.followers_;
  feed_.changed_.notify_all();
}

Feed::Follower::~Follower() {
  const std::lock_guard lock(feed_.mutex_);
  --feed_.followers_;
}

std::optional<std::string> Feed::Follower::next(Position& from, TimePoint until) {
  std::unique_lock lock(feed_.mutex_);
  feed_.changed_.wait_until(lock, until,
                            [&] { return feed_.hasStopped_ || feed_.ring_.last() != from; });
  if (feed_.hasStopped_) return std::nullopt;
  return feed_.ring_.behind(from, limits::kWebEvents);
}

void Feed::Follower::pause(TimePoint until) {
  std::unique_lock lock(feed_.mutex_);
  feed_.changed_.wait_until(lock, until, [&] { return feed_.hasStopped_.load(); });
}

}  // namespace espalier::web
