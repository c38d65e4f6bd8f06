#include "metaserver/storage/session_database.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/base/thread.h"

namespace espalier::metaserver::storage {
namespace {

using namespace std::chrono_literals;

constexpr auto kRowsPauseLeast = 50ms;
constexpr int kRowsPauseToWriting = 4;
constexpr auto kRowsPauseMost = 5s;  // a stop of this process counts as writing
constexpr auto kRowsRetry = 1s;      // of a batch that could not be written

bool isThere(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

// What was not written stays before what came later, within the same bounds.
template <typename Row>
void putBefore(std::vector<Row>& later, std::vector<Row>& earlier, std::size_t most) {
  earlier.insert(earlier.end(), std::make_move_iterator(later.begin()),
                 std::make_move_iterator(later.end()));
  if (earlier.size() > most) {
    earlier.erase(earlier.begin(), earlier.end() - static_cast<std::ptrdiff_t>(most));
  }
  later = std::move(earlier);
}

}  // namespace

Result<sessions::Stored> SessionDatabase::load() {
  const bool wasThere = isThere(path_);
  auto opened = SessionTables::open(path_);
  auto stored = opened ? opened->load() : Result<sessions::Stored>(opened.error());
  if (stored) {
    tables_ = std::move(*opened);
    return stored;
  }
  if (!wasThere && stored.error().code == ErrorCode::io) {
    told(stored.error());
    return sessions::Stored();
  }
  // Else it says itself what to do: a newer version.
  if (!stored.error().message.starts_with(escaped(path_) + ": ")) return stored;
  return Error{ErrorCode::configuration,
               fmt::format("{}: this metaserver keeps its counts and sessions there; make sure "
                           "that the disk has room and that file and folder can be written, put a "
                           "copy of the file back, or move it away, and it counts from zero",
                           stored.error().message)};
}

Result<void> SessionDatabase::start(Take take, Name name) {
  take_ = std::move(take);
  name_ = std::move(name);
  return startThread(thread_, [this] { run(); });
}

SessionDatabase::~SessionDatabase() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  woken_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void SessionDatabase::wake() {
  {
    const std::lock_guard lock(mutex_);
    if (wanted_) return;
    wanted_ = true;
  }
  woken_.notify_one();
}

void SessionDatabase::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (failing_) {
      woken_.wait_for(lock, kRowsRetry, [&] { return ending_; });
    } else {
      woken_.wait(lock, [&] { return wanted_ || ending_; });
    }
    wanted_ = false;
    lock.unlock();
    const TimePoint begun = Clock::now();
    writeAll();
    const Duration took = Clock::now() - begun;
    lock.lock();
    woken_.wait_for(
        lock, std::clamp<Duration>(kRowsPauseToWriting * took, kRowsPauseLeast, kRowsPauseMost),
        [&] { return ending_; });
  }
  lock.unlock();
  writeAll();
}

// All batches that are there. Rows are bounded in memory, so this ends.
void SessionDatabase::writeAll() {
  while (true) {
    const auto more = writeNext();
    told(more);
    if (!more || !*more) return;
  }
}

// True: another batch may follow.
Result<bool> SessionDatabase::writeNext() {
  if (tables_ && tables_->hasMoved()) tables_.reset();
  if (!tables_) {
    all_ = true;  // a new file, or a copy of before
    auto opened = SessionTables::open(path_);
    if (!opened) return opened.error();
    tables_ = std::move(*opened);
  }
  const bool isRetry = batch_.has_value();  // there may be more by now, and no wake-up for it
  if (!batch_ || all_) {
    auto batch = take_(all_);
    if (batch && batch_) {
      putBefore(batch->rows, batch_->rows, limits::kSessionRowsWaiting);
      putBefore(batch->ratings, batch_->ratings, limits::kRatingsWaiting);
      batch->dropped += batch_->dropped;
    }
    if (batch) batch_ = std::move(batch);
    all_ = false;
    if (!batch_) return false;
  }
  if (const auto written = tables_->write(*batch_, name_()); !written) {
    if (written.error().code == ErrorCode::configuration) tables_.reset();
    return written.error();
  }
  if (batch_->dropped > 0) {
    log::warning("{}: {} of sessions and ratings had to be dropped while it could not be written",
                 escaped(path_), counted(batch_->dropped, "row"));
  }
  const bool more = batch_->more || isRetry;
  batch_.reset();
  return more;
}

void SessionDatabase::told(const Result<bool>& written) {
  if (!written) {
    if (!std::exchange(failing_, true)) {
      log::error("{}; counting goes on in memory, and is written as soon as it can be",
                 written.error().message);
    }
  } else if (std::exchange(failing_, false)) {
    log::info("{} can be written again", escaped(path_));
  }
}

}  // namespace espalier::metaserver::storage
