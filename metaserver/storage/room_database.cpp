#include "metaserver/storage/room_database.h"

#include <iterator>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/base/thread.h"

namespace espalier::metaserver::storage {
namespace {

// Tuning: of a transaction, by estimate. The log of the database stays far below its bound.
constexpr std::size_t kWrittenAtOnce = 4u << 20;

std::size_t bytesOfWrite(const rooms::StoreWrite& write) {
  const auto* append = std::get_if<rooms::StoreAppend>(&write);
  return append ? rooms::BatchFiller::bytesOf(append->entry) : 64;
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

Result<rooms::Stored> RoomDatabase::load() {
  auto tables = RoomTables::open(path_);
  if (!tables) return tables.error();
  auto stored = tables->load();
  if (stored) tables_ = *std::move(tables);
  return stored;
}

Result<void> RoomDatabase::start(Done done) {
  done_ = std::move(done);
  return startThread(thread_, [this] { run(); });
}

void RoomDatabase::write(std::vector<rooms::StoreWrite> writes, std::uint64_t number) {
  {
    const std::lock_guard lock(mutex_);
    queue_.emplace_back(Writes{std::move(writes), number});
  }
  woken_.notify_one();
}

bool RoomDatabase::read(std::optional<rooms::StoreRange> range, Filled filled) {
  {
    const std::lock_guard lock(mutex_);
    if (reads_ >= limits::kRoomReads) return false;
    ++reads_;
    queue_.emplace_back(Read{std::move(range), std::move(filled)});
  }
  woken_.notify_one();
  return true;
}

void RoomDatabase::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (isFailing_) {
      woken_.wait_for(lock, limits::kRoomDiskRetry, [&] { return ending_; });
    } else if (jobs_.empty()) {
      woken_.wait(lock, [&] { return ending_ || !queue_.empty(); });
    }
    const bool isLast = ending_;
    std::move(queue_.begin(), queue_.end(), std::back_inserter(jobs_));
    queue_.clear();
    lock.unlock();
    const bool isDone = carryOutSome();
    lock.lock();
    if (!isLast || (isDone && (!jobs_.empty() || !queue_.empty()))) continue;
    if (!jobs_.empty()) {
      log::error("{}: the latest entries of rooms could not be written", escaped(path_));
    }
    return;
  }
}

// How many jobs go into one transaction.
std::size_t RoomDatabase::batchOf() const {
  std::size_t bytes = 0;
  std::size_t count = 0;
  for (; count < jobs_.size() && bytes < kWrittenAtOnce; ++count) {
    if (const auto* writes = std::get_if<Writes>(&jobs_[count])) {
      for (const auto& write : writes->writes) bytes += bytesOfWrite(write);
    } else {
      bytes += limits::kRoomBatchBytes;
    }
  }
  return count;
}

Result<void> RoomDatabase::carryOut(std::size_t count, std::vector<rooms::BatchFiller>& filled) {
  return tables_->inTransaction([&]() -> Result<void> {
    for (std::size_t i = 0; i < count; ++i) {
      Result<void> done;
      if (const auto* writes = std::get_if<Writes>(&jobs_[i])) {
        for (const auto& write : writes->writes) {
          if (done) done = tables_->write(write);
        }
      } else {
        const auto& read = std::get<Read>(jobs_[i]);
        auto& filler = filled.emplace_back();
        done = read.range ? tables_->fill(*read.range, filler) : tables_->fillApart(filler);
      }
      if (!done) return done;
    }
    return {};
  });
}

// False: it is to be tried again.
bool RoomDatabase::carryOutSome() {
  const std::size_t count = batchOf();
  if (count == 0 && !isFailing_) return true;  // what fails is tried, also without anything
  std::vector<rooms::BatchFiller> filled;
  if (const auto done = carryOut(count, filled); !done) {
    if (!std::exchange(isFailing_, true)) {
      log::error("{}; nothing that is said in rooms is acknowledged by it until it can be written",
                 done.error().message);
      done_.failing(true);
    }
    dropReads();
    return false;
  }
  std::uint64_t number = 0;
  std::size_t reads = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (const auto* writes = std::get_if<Writes>(&jobs_.front())) {
      number = writes->number;
    } else {
      std::get<Read>(jobs_.front()).filled(std::move(filled[reads++]));
    }
    jobs_.pop_front();
  }
  if (reads > 0) {
    const std::lock_guard lock(mutex_);
    reads_ -= reads;
  }
  if (std::exchange(isFailing_, false)) {
    log::info("{} can be written again", escaped(path_));
    done_.failing(false);
  }
  if (number > 0) done_.persisted(number);
  return true;
}

void RoomDatabase::dropReads() {
  const auto before = jobs_.size();
  std::erase_if(jobs_, [](const Job& job) { return std::holds_alternative<Read>(job); });
  const std::lock_guard lock(mutex_);
  reads_ -= before - jobs_.size();
}

}  // namespace espalier::metaserver::storage
