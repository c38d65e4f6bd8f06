// Commands that go on while others are typed, as with & in a shell: `get film.mkv &`. What they
// come to is told above the line being typed. A thread each, joined by the destructor, which
// cancels what still runs. Belongs to the prompt's thread; `tell` is called by any of the others.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "common/command/dispatcher.h"

namespace espalier::peer::shell {

// The command of a line that ends in an & of its own; nothing for another line.
std::optional<std::string> backgroundCommand(const std::string& line);

class Background {
 public:
  using Tell = std::function<void(const std::string& text)>;

  Background(const command::Dispatcher& dispatcher, command::Format format, Tell tell)
      : dispatcher_(dispatcher), format_(format), tell_(std::move(tell)) {}
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // False when too many run (limits::kBackgroundCommands). `context` has no progress and asks
  // nobody; its stop token is replaced.
  bool start(const std::string& line, command::Context context);

 private:
  struct Job {
    std::atomic<bool> ended{false};
    std::jthread thread;
  };
  const command::Dispatcher& dispatcher_;
  const command::Format format_;
  const Tell tell_;
  std::list<Job> jobs_;
};

}  // namespace espalier::peer::shell
