// Keeps the log from holding anybody up: lines are queued, and written by a thread of its own. A
// terminal that is stopped (Ctrl-S), or a pipe that nobody reads, would else stop whoever logs, the
// event loop first of all, and with it the network's patience.
//
// From construction to destruction it is the log's sink; one at a time. At most
// limits::kNoticesQueued lines wait; how many were lost is told behind them, also of those that a
// full disk or a closed pipe did not take, once it takes lines again; log::lost() has them until
// then. The destructor gives what waits a moment to leave, then drops it. Where the system has no
// thread left it does nothing, and lines are written by the thread that logs. Thread-safe, since
// any thread logs.
#pragma once

#include <unistd.h>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "common/command/terminal_output.h"

namespace espalier::command {

class LogWriter {
 public:
  explicit LogWriter(int output = STDERR_FILENO);
  ~LogWriter();

  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

 private:
  void queue(std::string_view line);
  void run();
  void written(const Result<void>& result);
  void tellLost();

  TerminalOutput output_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::string> lines_;  // the first is being written
  std::size_t lost_ = 0;           // for want of room, and not told yet
  std::size_t unwritten_ = 0;      // because output_ failed, and not told yet
  std::string why_;
  bool ending_ = false;

  std::jthread thread_;
};

}  // namespace espalier::command
