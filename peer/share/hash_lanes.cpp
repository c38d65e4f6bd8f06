#include "peer/share/hash_lanes.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/thread.h"
#include "common/crypto/file_tree.h"

namespace espalier::share {
namespace {

using limits::kHashReadBytes;
using limits::kHashSegmentBytes;

constexpr auto kIdle = std::chrono::seconds(1);
constexpr int kNiceness = 5;  // transfers and the event loop come first

std::uint64_t segmentsOf(std::uint64_t sizeBytes) {
  return std::max<std::uint64_t>(1, (sizeBytes + kHashSegmentBytes - 1) / kHashSegmentBytes);
}

HashOutcome failureOf(int error) {
  if (isGone(error)) return HashOutcome::gone;
  if (isShortage(error)) return HashOutcome::changed;  // It is tried again.
  return HashOutcome::unreadable;
}

}  // namespace

HashLanes::HashLanes(unsigned lanes, ChunkLists& lists, std::function<void()> wake)
    : lists_(lists), wake_(std::move(wake)) {
  if (lanes == 0) lanes = std::max(1u, std::thread::hardware_concurrency());
  for (unsigned i = 0; i < lanes; ++i) {
    started_ = startThread(threads_, [this](std::stop_token stop) { run(stop); });
    if (!started_) break;
  }
  if (!threads_.empty()) started_ = {};
}

HashLanes::~HashLanes() {
  for (auto& thread : threads_) thread.request_stop();
}

void HashLanes::submit(HashJobPointer job) {
  {
    const std::lock_guard lock(mutex_);
    ++outstanding_;
    (segmentsOf(job->stat.sizeBytes) == 1 ? small_ : large_).push_back(std::move(job));
  }
  work_.notify_one();
}

std::vector<HashJobPointer> HashLanes::takeResults() {
  const std::lock_guard lock(mutex_);
  return std::exchange(results_, {});
}

void HashLanes::run(std::stop_token stop) {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNiceness);
  std::vector<std::byte> buffer;
  Task task;
  while (take(stop, buffer, task)) {
    buffer.resize(kHashReadBytes);
    hashSegment(task, buffer, stop);
    const bool last =
        task.job->segmentsDone.fetch_add(1) + 1 == segmentsOf(task.job->stat.sizeBytes);
    if (last && !stop.stop_requested()) finish(task.job);
    task = {};
  }
}

// Blocks until there is work. False: the lane must end. An idle lane releases its buffer.
bool HashLanes::take(std::stop_token stop, std::vector<std::byte>& buffer, Task& task) {
  std::unique_lock lock(mutex_);
  const auto ready = [&] { return !small_.empty() || !large_.empty(); };
  // Not at once: work comes in bursts with short gaps.
  if (!work_.wait_for(lock, stop, kIdle, ready)) buffer = {};
  if (!work_.wait(lock, stop, ready) || stop.stop_requested()) return false;
  if (!small_.empty()) {
    task = {std::move(small_.front()), 0};
    small_.pop_front();
    return true;
  }
  const HashJobPointer& job = large_.front();
  task = {job, job->nextSegment++};
  if (job->nextSegment == segmentsOf(job->stat.sizeBytes)) {
    large_.pop_front();
  } else {
    work_.notify_one();
  }
  return true;
}

void HashLanes::open(HashJob& job) {
  job.descriptor = openBelow(job.folder, job.relative, O_RDONLY | O_NONBLOCK);
  struct stat status {};
  if (!job.descriptor) {
    job.error = errno;
    job.outcome = failureOf(job.error);
  } else if (::fstat(job.descriptor.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
             fileStat(status) != job.stat) {
    job.outcome = HashOutcome::changed;
  } else {
    ::posix_fadvise(job.descriptor.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
    const auto size = job.stat.sizeBytes;
    job.chunks.resize(crypto::chunkCount(size, crypto::chunkBytesFor(size)));
  }
}

void HashLanes::hashSegment(const Task& task, std::vector<std::byte>& buffer,
                            std::stop_token stop) {
  HashJob& job = *task.job;
  if (job.cancelled) return;
  std::call_once(job.opened, [&] { open(job); });
  const std::uint64_t chunkBytes = crypto::chunkBytesFor(job.stat.sizeBytes);
  const std::uint64_t start = task.segment * kHashSegmentBytes;
  const std::uint64_t end = std::min(start + kHashSegmentBytes, job.stat.sizeBytes);
  for (std::uint64_t at = start; at < end; at += chunkBytes) {
    // The disk reads the next chunk while this one is hashed.
    if (chunkBytes < end - at) {
      ::posix_fadvise(job.descriptor.get(), static_cast<off_t>(at + chunkBytes),
                      static_cast<off_t>(chunkBytes), POSIX_FADV_WILLNEED);
    }
    if (!hashChunk(job, at / chunkBytes, buffer, stop)) return;
  }
}

bool HashLanes::hashChunk(HashJob& job, std::uint64_t chunk, std::span<std::byte> buffer,
                          std::stop_token stop) {
  const std::uint64_t size = job.stat.sizeBytes;
  const std::uint64_t chunkBytes = crypto::chunkBytesFor(size);
  const std::uint64_t start = chunk * chunkBytes;
  const std::uint64_t end = std::min(start + chunkBytes, size);
  crypto::ChunkHasher hasher(chunkBytes, size);
  for (std::uint64_t at = start; at < end;) {
    if (stop.stop_requested() || job.cancelled || job.outcome != HashOutcome::done) return false;
    const auto part = buffer.first(std::min<std::uint64_t>(buffer.size(), end - at));
    const ssize_t got = readAt(job.descriptor.get(), part, at);
    if (got < 0) {
      job.error = errno;
      job.outcome = HashOutcome::unreadable;
    }
    if (got >= 0 && static_cast<std::size_t>(got) < part.size()) job.outcome = HashOutcome::changed;
    if (job.outcome != HashOutcome::done) return false;
    hasher.update(part);
    hashedBytes_ += part.size();
    job.readBytes += part.size();
    openBytes_ += part.size();
    at += part.size();
  }
  job.chunks[chunk] = hasher.finish();
  return true;
}

void HashLanes::finish(const HashJobPointer& job) {
  struct stat status {};
  if (!job->cancelled && job->outcome == HashOutcome::done) {
    if (::fstat(job->descriptor.get(), &status) != 0 || fileStat(status) != job->stat) {
      job->outcome = HashOutcome::changed;
    } else if (status.st_nlink == 0) {
      job->outcome = HashOutcome::gone;
    } else {
      job->root = crypto::merkleRoot(job->chunks, crypto::chunkBytesFor(job->stat.sizeBytes));
      // A list that cannot be stored is computed again when it is needed.
      if (job->chunks.size() > 1) (void)lists_.store(job->root, job->chunks).ok();
    }
  }
  openBytes_ -= job->readBytes;
  job->chunks = {};
  job->descriptor.reset();
  bool last = false;
  {
    const std::lock_guard lock(mutex_);
    results_.push_back(job);
    last = --outstanding_ == 0;
  }
  if (last) wake_();
}

}  // namespace espalier::share
