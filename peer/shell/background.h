// Commands that go on while others are typed, as with & in a shell: `get film.mkv &`. What they
// come to is told above the line being typed. A thread each, joined by the destructor, which
// cancels what still runs. Belongs to the prompt's thread; `tell` is called by any of the others.
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

namespace espalier::peer::shell {

// The command of a line that ends in an & of its own; nothing for another line.
std::optional<std::string> backgroundCommand(const std::string& line);

class Background {
 public:
  using Tell = std::function<void(const command::Rendered& rendered)>;

  Background(const command::Dispatcher& dispatcher, command::Format format, Tell tell)
      : dispatcher_(dispatcher), format_(format), tell_(std::move(tell)) {}
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // An error when too many run (limits::kBackgroundCommands), or the system has no thread left.
  // `context` has no progress and asks nobody; its stop token is replaced.
  Result<void> start(const std::string& line, command::Context context);

  // Waits for those that run, or until `stop`. The exit code of one that has failed since the
  // beginning, else 0.
  int wait(const std::stop_token& stop);

 private:
  struct Job {
    bool ended = false;  // under mutex_
    std::jthread thread;
  };
  const command::Dispatcher& dispatcher_;
  const command::Format format_;
  const Tell tell_;
  std::mutex mutex_;  // guards what the jobs' threads change
  std::condition_variable_any changed_;
  std::size_t running_ = 0;
  command::FirstFailure failure_;
  std::list<Job> jobs_;
};

}  // namespace espalier::peer::shell
