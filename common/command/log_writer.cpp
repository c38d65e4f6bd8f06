#include "common/command/log_writer.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/base/thread.h"

namespace espalier::command {
namespace {

constexpr auto kFarewell = std::chrono::milliseconds(500);

}  // namespace

LogWriter::LogWriter(int output) : output_(output) {
  if (const auto started = startThread(thread_, [this] { run(); }); !started) {
    log::setSink(nullptr, nullptr);  // the previous sink may be about to end
    log::warning("the log is written without a queue: {}", started.error().message);
    return;
  }
  log::setSink(
      [](std::string_view line, void* self) { static_cast<LogWriter*>(self)->queue(line); }, this);
}

LogWriter::~LogWriter() {
  if (!thread_.joinable()) return;
  log::setSink(nullptr, nullptr);
  {
    std::unique_lock lock(mutex_);
    ending_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, kFarewell, [this] { return lines_.empty(); });
  }
  output_.abort();
  thread_.join();
}

void LogWriter::queue(std::string_view line) {
  const std::lock_guard lock(mutex_);
  if (lines_.size() >= limits::kNoticesQueued) {
    ++lost_;
    log::addLost(1, "its output did not take them in time");
    return;
  }
  lines_.emplace_back(line);
  changed_.notify_all();
}

void LogWriter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ending_ || !lines_.empty(); });
    if (lines_.empty()) return;
    const std::string line = lines_.front();
    lock.unlock();
    const auto result = output_.write(line);
    lock.lock();
    lines_.pop_front();
    written(result);
    changed_.notify_all();
  }
}

// Under mutex_, as the next one.
void LogWriter::written(const Result<void>& result) {
  if (result) return tellLost();
  if (result.error().code == ErrorCode::interrupted) return;
  ++unwritten_;
  why_ = result.error().message;
  log::addLost(1, why_);
}

void LogWriter::tellLost() {
  if (unwritten_ > 0) {
    lines_.push_front(fmt::format("… and {} that could not be written: {}\n",
                                  counted(std::exchange(unwritten_, 0), "line"), why_));
  }
  if (lines_.empty() && lost_ > 0) {
    lines_.push_back(fmt::format("… and {} that the output did not take in time\n",
                                 counted(std::exchange(lost_, 0), "line")));
  }
}

}  // namespace espalier::command
