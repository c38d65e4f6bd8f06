#include "peer/transfer/fetch_job.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/signals.h"
#include "common/base/thread.h"
#include "peer/transfer/fetch_conversation.h"

namespace espalier::transfer {

using Lock = FetchWork::Lock;

FetchJob::FetchJob(const FetchRequest& request, const DownloaderOptions& options, PartFile& part)
    : request_(request),
      options_(options),
      part_(part),
      work_(request, part, interrupter_, options.chunks) {}

Result<void> FetchJob::run(std::stop_token stop, const ProgressCallback& progress) {
  stop_ = stop;
  if (auto adopted = adoptKnownPlan(); !adopted) return adopted;
  const std::stop_callback onStop(stop, [this] {
    work_.fail({ErrorCode::interrupted, "interrupted"});
  });
  std::jthread seeker;
  Lock lock = work_.lock();
  if (!work_.over(lock) && request_.search) {
    seeking_ = startThread(seeker, [this] { seekHolders(); }).ok();
  }
  watch(lock, progress);
  lock.unlock();
  interrupter_.interrupt();
  threads_.clear();
  seeker = {};
  lock.lock();
  if (work_.failed(lock)) return *work_.failed(lock);
  if (!work_.complete(lock)) return work_.failure(lock);
  return {};
}

// The plan of a small file, or the one that an earlier run left.
Result<void> FetchJob::adoptKnownPlan() {
  auto known = ChunkPlan::ofSmall(request_.root, request_.size);
  if (!known) known = part_.earlierPlan();
  return known ? work_.adopt(std::move(*known), stop_) : Result<void>();
}

// Until it is over, or no source is left.
void FetchJob::watch(Lock& lock, const ProgressCallback& progress) {
  bool reserving = true;
  TimePoint shown = Clock::now();
  while (!work_.over(lock)) {
    startThreads(lock);
    work_.sources(lock).cutLiars(Clock::now());
    if (work_.working(lock) == limits::kFetchSources) {
      work_.sources(lock).replaceSlowest(
          Clock::now(), options_.rate == nullptr ? RateLimit::kNone : options_.rate->get());
    }
    if (work_.idle(lock) && !seeking_) return;
    const bool planned = work_.planKnown(lock);
    if (!reserving || !planned) work_.await(lock, options_.progressInterval);
    lock.unlock();
    if (reserving && planned) {
      const auto more = work_.reserveMore();
      if (!more) work_.fail(more.error());
      reserving = more.valueOr(false);
    }
    if (progress && Clock::now() - shown >= options_.progressInterval) {
      progress(work_.progress());
      shown = Clock::now();
    }
    lock.lock();
  }
}

void FetchJob::startThreads(const Lock& lock) {
  while (work_.working(lock) < limits::kFetchSources) {
    const auto first = work_.nextSource(lock);
    if (!first) return;
    const auto started = startThread(threads_, [this, index = *first] { work(index); });
    if (!started) {
      work_.sources(lock).putBack(*first);
      // The threads that there are go on; without any, nothing would.
      if (work_.working(lock) == 0) work_.failLocked(lock, started.error());
      return;
    }
    work_.threadStarted(lock);
  }
}

void FetchJob::work(std::size_t first) {
  const QuietSignals quiet;
  serveFrom(first);
  Lock lock = work_.lock();
  while (const auto index = work_.nextSource(lock)) {
    lock.unlock();
    serveFrom(*index);
    lock.lock();
  }
  work_.threadEnded(lock);
}

// Until there is nothing more to be had from this source.
void FetchJob::serveFrom(std::size_t index) {
  while (true) {
    const Holder holder = [&] {
      const Lock lock = work_.lock();
      return work_.sources(lock)[index].holder;
    }();
    FetchConversation conversation(work_, index, holder, options_, interrupter_);
    const auto left = conversation.run(stop_);
    if (left.why) return;
    if (left.again) continue;
    const Lock lock = work_.lock();
    log::info("{} {}: {}", holder.id.text(), holder.endpoint.text(), left.why.error().message);
    work_.sources(lock).end(index, left.why.error(), Clock::now());
    return;
  }
}

void FetchJob::seekHolders() {
  const std::stop_token stop = interrupter_.token();
  Duration pause = limits::kSeekHoldersFirst;
  Lock lock = work_.lock();
  const auto over = [&] { return stop.stop_requested() || work_.over(lock); };
  while (!over()) {
    work_.await(lock, stop, pause, [&] { return work_.over(lock) || work_.idle(lock); });
    if (over()) break;
    lock.unlock();
    const auto found = request_.search(request_.size, stop);
    lock.lock();
    const bool more = work_.sources(lock).add(found);
    work_.wakeAll(lock);
    if (!more && work_.idle(lock)) break;
    if (more) {
      // A thread takes them first.
      work_.await(lock, stop, limits::kSeekHoldersMost,
                  [&] { return !work_.sources(lock).anyToDial() || work_.working(lock) > 0; });
    }
    pause = std::min<Duration>(pause * 3, limits::kSeekHoldersMost);
  }
  seeking_ = false;
  work_.wakeAll(lock);
}

}  // namespace espalier::transfer
