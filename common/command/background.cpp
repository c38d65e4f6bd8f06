#include "common/command/background.h"

#include <utility>

#include "common/base/limits.h"
#include "common/base/thread.h"

namespace espalier::command {

std::optional<std::string> backgroundCommand(const std::string& line) {
  const auto last = line.find_last_not_of(" \t");
  if (last == std::string::npos || last == 0 || line[last] != '&') return std::nullopt;
  if (line[last - 1] != ' ' && line[last - 1] != '\t') return std::nullopt;
  return line.substr(0, last);
}

Background::~Background() {
  for (auto& job : jobs_) job.thread.request_stop();
}

Result<void> Background::start(const std::string& line, Context context) {
  const std::lock_guard lock(mutex_);
  jobs_.remove_if([](const Job& job) { return job.ended; });
  if (jobs_.size() >= limits::kBackgroundCommands) {
    return Error{ErrorCode::timeout,
                 "too many commands run in the background: wait until one ends, or cancel one"};
  }
  Job& job = jobs_.emplace_back();
  const auto run = [this, &job, line, context = std::move(context)](std::stop_token stop) mutable {
    context.stop = stop;
    const auto outcome = dispatcher_.runLine(line, context);
    if (!stop.stop_requested()) tell_(outcome);
    const std::lock_guard done(mutex_);
    failure_.add(outcome.exitCode());
    --running_;
    job.ended = true;
    changed_.notify_all();
  };
  auto started = startThread(job.thread, run);
  if (started) {
    ++running_;
  } else {
    jobs_.pop_back();
  }
  return started;
}

int Background::wait(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const bool ended = changed_.wait(lock, stop, [this] { return running_ == 0; });
  return ended ? failure_.code() : exitCode(ErrorCode::interrupted);
}

}  // namespace espalier::command
