#include "metaserver/storage/directory_database.h"

#include <chrono>
#include <utility>

#include "common/base/log.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "common/base/write_pace.h"

namespace espalier::metaserver::storage {
namespace {

using namespace std::chrono_literals;

constexpr auto kRetry = 1s;  // of a batch that could not be written

}  // namespace

DirectoryDatabase::DirectoryDatabase(std::string path, Take take)
    : path_(std::move(path)), take_(std::move(take)) {}

Result<void> DirectoryDatabase::start() {
  return startThread(thread_, [this] { run(); });
}

DirectoryDatabase::~DirectoryDatabase() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  woken_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void DirectoryDatabase::wake() {
  {
    const std::lock_guard lock(mutex_);
    if (wanted_) return;
    wanted_ = true;
  }
  woken_.notify_one();
}

void DirectoryDatabase::writeAgain() {
  {
    const std::lock_guard lock(mutex_);
    again_ = wanted_ = true;
  }
  woken_.notify_one();
}

bool DirectoryDatabase::isEnding() {
  const std::lock_guard lock(mutex_);
  return ending_;
}

void DirectoryDatabase::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    const auto woken = [&] { return wanted_ || ending_; };
    if (failing_) {
      woken_.wait_for(lock, kRetry, [&] { return ending_; });
    } else {
      woken_.wait(lock, woken);
    }
    wanted_ = false;
    const bool again = std::exchange(again_, false);
    lock.unlock();
    const WritePace pace;
    writeAll(again);
    const Duration rest = pace.rest();
    lock.lock();
    woken_.wait_for(lock, rest, [&] { return ending_; });
  }
  lock.unlock();
  writeAll(false);
}

// All batches that are there. After the end has come, one more.
void DirectoryDatabase::writeAll(bool again) {
  if (again) tables_.reset();
  while (true) {
    const auto more = writeNext();
    told(more);
    if (!more || !*more || isEnding()) return;
  }
}

// True: another batch may follow.
Result<bool> DirectoryDatabase::writeNext() {
  if (tables_ && tables_->hasMoved()) tables_.reset();
  if (!tables_) {
    auto made = DirectoryTables::make(path_);
    if (!made) return made.error();
    tables_ = std::move(*made);
    batch_.reset();
    all_ = true;
  }
  const bool isRetry = batch_.has_value();  // there may be more by now, and no wake-up for it
  if (!isRetry) {
    batch_ = take_(all_);
    if (!batch_) return false;
    all_ = false;
  }
  if (const auto written = tables_->write(*batch_); !written) {
    if (written.error().code == ErrorCode::configuration) tables_.reset();
    return written.error();
  }
  const bool more = batch_->members.more || isRetry;
  batch_.reset();
  return more;
}

void DirectoryDatabase::told(const Result<bool>& written) {
  if (!written) {
    if (!std::exchange(failing_, true)) {
      log::error("{}; the network goes on, and the directory is written as soon as it can be",
                 written.error().message);
    }
  } else if (std::exchange(failing_, false)) {
    log::info("{} can be written again", escaped(path_));
  }
}

}  // namespace espalier::metaserver::storage
