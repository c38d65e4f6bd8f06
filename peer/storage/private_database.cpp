#include "peer/storage/private_database.h"

#include <chrono>

#include "common/base/log.h"
#include "common/base/thread.h"

namespace espalier::peer::storage {
namespace {

using namespace std::chrono_literals;

constexpr auto kRetry = 1s;  // of a batch that could not be written

}  // namespace

PrivateDatabase::~PrivateDatabase() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  woken_.notify_one();
  if (thread_.joinable()) thread_.join();
}

Result<void> PrivateDatabase::start(Stored onStored) {
  onStored_ = std::move(onStored);
  return startThread(thread_, [this] { run(); });
}

void PrivateDatabase::write(PrivateWrite write) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(write));
  }
  woken_.notify_one();
}

void PrivateDatabase::writeAgain() {
  {
    const std::lock_guard lock(mutex_);
    again_ = true;
  }
  woken_.notify_one();
}

Result<std::vector<KeptMessage>> PrivateDatabase::conversation(const InstanceHash& with,
                                                               std::size_t most) {
  std::future<Result<std::vector<KeptMessage>>> answer;
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return Error{ErrorCode::interrupted, "this peer is stopping"};
    questions_.push_back({with, most, {}});
    answer = questions_.back().answer.get_future();
  }
  woken_.notify_one();
  return answer.get();
}

void PrivateDatabase::run() {
  std::vector<PrivateWrite> batch;
  bool again = false;  // the file is to be written, also without news
  std::unique_lock lock(mutex_);
  while (true) {
    if (again || !batch.empty()) {
      woken_.wait_for(lock, kRetry, [&] { return ending_ || !questions_.empty(); });
    } else {
      woken_.wait(lock,
                  [&] { return ending_ || again_ || !queue_.empty() || !questions_.empty(); });
    }
    const bool isLast = ending_;
    for (auto& each : queue_) batch.push_back(std::move(each));
    queue_.clear();
    auto questions = std::exchange(questions_, {});
    again = std::exchange(again_, false) || again;
    lock.unlock();
    if ((again || !batch.empty()) && writeBatch(batch)) {
      batch.clear();
      again = false;
    }
    for (auto& each : questions) {
      each.answer.set_value(tables_.conversation(each.with, each.most));
    }
    lock.lock();
    if (isLast && !batch.empty()) {
      log::error("{} changes of private messages could not be written, and are lost", batch.size());
      batch.clear();
    }
    if (isLast && queue_.empty() && questions_.empty()) return;
  }
}

bool PrivateDatabase::writeBatch(std::vector<PrivateWrite>& batch) {
  if (const auto written = tables_.write(batch); !written) {
    if (!std::exchange(failing_, true)) {
      log::error("{}; private messages are neither sent nor acknowledged until they can be written",
                 written.error().message);
    }
    return false;
  }
  if (std::exchange(failing_, false)) log::info("private messages can be written again");
  if (!batch.empty()) onStored_(batch.back().ticket);
  return true;
}

}  // namespace espalier::peer::storage
