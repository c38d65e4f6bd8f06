#include "peer/storage/room_database.h"

#include <chrono>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/thread.h"

namespace espalier::peer::storage {
namespace {

using namespace std::chrono_literals;

constexpr auto kRetry = 1s;  // of what could not be written

// What was not written joins what has come since.
void prepend(RoomChanges&& earlier, RoomChanges& later) {
  if (later.revision == 0) later.revision = earlier.revision;
  for (auto& [name, room] : earlier.rooms) {
    const auto found = later.rooms.find(name);
    if (found == later.rooms.end()) {
      later.rooms.emplace(name, std::move(room));
      continue;
    }
    auto& now = found->second;
    if (now.wasLeft) continue;
    now.wasLeft = room.wasLeft;
    auto shown = std::exchange(now.shown, std::move(room.shown));
    for (const auto& id : shown) later.addShown(name, id);
  }
}

}  // namespace

RoomDatabase::~RoomDatabase() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  woken_.notify_one();
  if (thread_.joinable()) thread_.join();
}

Result<void> RoomDatabase::start(Stored onStored) {
  onStored_ = std::move(onStored);
  return startThread(thread_, [this] { run(); });
}

void RoomDatabase::take(RoomViewsEffects& fx) {
  {
    const std::lock_guard lock(mutex_);
    ++taken_;
    if (fx.revision > 0) changes_.revision = fx.revision;
    for (auto& missing : fx.missing) tellings_.emplace_back(std::move(missing));
    for (auto& show : fx.shows) {
      changes_.addShown(show.entry.room, show.entry.id);
      add(std::move(show));
    }
    for (const auto& saved : fx.saves) changes_.add(saved);
  }
  woken_.notify_one();
}

void RoomDatabase::add(RoomViewsEffects::Show&& show) {
  if (tellings_.size() < limits::kRoomShowsQueued) {
    tellings_.emplace_back(std::move(show));
    return;
  }
  const auto& entry = show.entry;
  // One for each room, behind the others.
  for (auto at = tellings_.begin() + limits::kRoomShowsQueued; at != tellings_.end(); ++at) {
    auto* missing = std::get_if<RoomViewsEffects::Missing>(&*at);
    if (missing == nullptr || missing->room != entry.room) continue;
    missing->to = entry.number;
    missing->beforeMs = entry.atMs;
    return;
  }
  tellings_.emplace_back(
      RoomViewsEffects::Missing{entry.room, entry.number, entry.number, entry.atMs, entry.atMs});
}

void RoomDatabase::writeAgain() {
  {
    const std::lock_guard lock(mutex_);
    again_ = true;
  }
  woken_.notify_one();
}

Result<void> RoomDatabase::settle() {
  std::unique_lock lock(mutex_);
  const auto upTo = taken_;
  settled_.wait(lock, [&] { return ending_ || tried_ >= upTo; });
  if (tried_ < upTo) return Error{ErrorCode::interrupted, "this peer is stopping"};
  return outcome_;
}

void RoomDatabase::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    const auto isDue = [&] { return ending_ || tried_ < taken_ || again_; };
    if (failing_) {
      woken_.wait_for(lock, kRetry, isDue);
    } else {
      woken_.wait(lock, isDue);
    }
    woken_.wait_until(lock, nextAt_, [&] { return ending_; });
    const bool isLast = ending_;
    auto changes = std::exchange(changes_, {});
    auto tellings = std::exchange(tellings_, {});
    const auto upTo = taken_;
    again_ = false;
    lock.unlock();
    auto written = tables_.write(changes);
    if (!written && !std::exchange(failing_, true)) {
      log::error("{}; what is said in rooms is shown, and may be shown again after a restart",
                 written.error().message);
    } else if (written && std::exchange(failing_, false)) {
      log::info("what was shown of rooms can be written again");
    }
    if (!tellings.empty()) onStored_(tellings);
    lock.lock();
    if (!written) prepend(std::move(changes), changes_);
    tried_ = upTo;
    nextAt_ = Clock::now() + limits::kRoomWriteInterval;
    outcome_ = std::move(written);
    settled_.notify_all();
    if (isLast && tried_ == taken_) return;
  }
}

}  // namespace espalier::peer::storage
