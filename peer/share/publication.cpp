#include "peer/share/publication.h"

#include <algorithm>
#include <utility>

namespace espalier::share {
namespace {

using namespace std::chrono_literals;

constexpr auto kPublishWhileBusy = 100ms;
constexpr auto kPublishWhileIdle = 10ms;
constexpr int kPublishShare = 20;  // at most a twentieth of the time

}  // namespace

std::shared_ptr<const Snapshot> Publication::snapshot() const {
  const std::lock_guard lock(mutex_);
  return published_.snapshot;
}

IndexingProgress Publication::progress() const {
  const std::lock_guard lock(mutex_);
  return published_.progress;
}

bool Publication::wait(std::chrono::milliseconds timeout, const Enough& enough) const {
  const auto end = Clock::now() + timeout;
  std::unique_lock lock(mutex_);
  while (true) {
    const Published now = published_;
    lock.unlock();
    if (enough(*now.snapshot, now.progress)) return true;
    lock.lock();
    const bool isNew = published_.snapshot != now.snapshot ||
                       published_.progress.ready != now.progress.ready ||
                       published_.progress.publishedTicket != now.progress.publishedTicket;
    if (!isNew && changed_.wait_until(lock, end) == std::cv_status::timeout) return false;
  }
}

TimePoint Publication::due(bool busy) const {
  return publishedAt_ + std::max<Duration>(busy ? kPublishWhileBusy : kPublishWhileIdle,
                                           publishCost_ * kPublishShare);
}

void Publication::publish(Catalogue& catalogue, std::shared_ptr<const SharedFolders> folders) {
  const auto start = Clock::now();
  auto snapshot = catalogue.publish(std::move(folders));
  {
    const std::lock_guard lock(mutex_);
    std::swap(published_.snapshot, snapshot);
  }
  changed_.notify_all();
  publishedAt_ = Clock::now();
  publishCost_ = publishedAt_ - start;
}

void Publication::update(IndexingProgress progress, bool atRest) {
  bool isNew = false;
  {
    const std::lock_guard lock(mutex_);
    const IndexingProgress& before = published_.progress;
    progress.publishedTicket = atRest ? tickets_ : before.publishedTicket;
    isNew = before.ready != progress.ready || before.publishedTicket != progress.publishedTicket;
    published_.progress = progress;
  }
  if (isNew) changed_.notify_all();
}

}  // namespace espalier::share
