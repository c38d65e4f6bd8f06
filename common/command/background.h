// Runs commands in the background, as & does in a shell: `get film.mkv &`. Their outcomes are
// printed above the line that is being typed. One thread for each command; the destructor cancels
// and joins them.
//
// Owned by Prompt::run(). Thread rule: the prompt's thread calls the functions; the commands'
// threads call `tell`, with the outcome.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "common/command/dispatcher.h"
#include "common/command/runner.h"

namespace espalier::command {

// The command of a line that ends in a separate &; nothing for another line.
std::optional<std::string> backgroundCommand(const std::string& line);

class Background {
 public:
  using Tell = std::function<void(const Outcome& outcome)>;

  Background(const Dispatcher& dispatcher, Tell tell)
      : dispatcher_(dispatcher), tell_(std::move(tell)) {}
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // An error if limits::kBackgroundCommands run already, or the system has no thread left.
  // `context` has neither progress nor `ask`; its stop token is replaced.
  Result<void> start(const std::string& line, Context context);

  // Waits until no command runs, or until `stop`. Returns the exit code of the first command that
  // has failed since the beginning, else 0.
  int wait(const std::stop_token& stop);

 private:
  struct Job {
    bool ended = false;  // under mutex_
    std::jthread thread;
  };
  const Dispatcher& dispatcher_;
  const Tell tell_;
  std::mutex mutex_;  // guards running_, failure_ and Job::ended
  std::condition_variable_any changed_;
  std::size_t running_ = 0;
  FirstFailure failure_;
  std::list<Job> jobs_;
};

}  // namespace espalier::command
