// Writes the log on a thread of its own, so that logging never blocks. Otherwise a stopped terminal
// (Ctrl-S), or a pipe that is not read, would block the event loop, and other peers would time out.
//
// It is the log's sink from its constructor to its destructor; one at a time. At most
// limits::kNoticesQueued lines are queued. A later line says how many were lost, because the queue
// was full or because the output failed (a full disk, a closed pipe); until then log::lost() counts
// them. The destructor waits for the queue for half a second at most. If the system has no thread
// left, lines are written by the thread that logs.
//
// Thread-safe: any thread logs. Made by main(), unless a prompt shows the log.
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
  std::size_t lost_ = 0;           // because the queue was full, and not reported yet
  std::size_t unwritten_ = 0;      // because output_ failed, and not reported yet
  std::string why_;
  bool ending_ = false;

  std::jthread thread_;
};

}  // namespace espalier::command
