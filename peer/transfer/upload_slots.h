// A bounded number of slots, each a thread with a blocking socket that serves one connection after
// another. Who finds no free slot waits in a line of bounded length and is told its place; who
// finds the line full is told `busy`.
//
// States of a connection: waiting -> served -> closed. Threads: one a slot, started when first
// needed, and one that tells those in line their places, started with the first of them. Where the
// system has no thread left, those that there are do the work. All are joined by stop(), which the
// destructor calls; stop() ends sockets that threads block on.
//
// Thread-safe. serve() never blocks: it may be called from the event loop.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file_descriptor.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/wire/hello.h"
#include "peer/transfer/sockets.h"

namespace espalier::transfer {

struct SlotOptions {
  std::size_t slots = limits::kUploadSlots;
  std::size_t line = limits::kUploadLine;
  Duration silence = limits::kTransferSilence;  // an asker that neither asks nor takes
  Duration waitingInterval = limits::kWaitingInterval;
};

class UploadSlots {
 public:
  // Serves one asker until it has had enough, or it is time to stop; `behind` is what was read
  // after its Hello. Called by several threads at once.
  using Serve =
      std::function<Result<void>(int socket, std::string_view behind, std::stop_token stop)>;
  struct Status {
    std::size_t serving = 0;
    std::size_t waiting = 0;
  };

  UploadSlots(SlotOptions options, Serve serve);
  ~UploadSlots() { stop(); }
  UploadSlots(const UploadSlots&) = delete;
  UploadSlots& operator=(const UploadSlots&) = delete;

  // A connection that has said `hello`, in any blocking mode. Answers it with Welcome, or Failure
  // when it cannot be served.
  void serve(FileDescriptor socket, const wire::Hello& hello, std::string behind);
  void stop();
  Status status() const;

 private:
  struct Asker {
    FileDescriptor socket;
    std::string behind;
  };
  void addThreads();
  void work();
  void keepLine();

  const SlotOptions options_;
  const Serve serve_;
  Interrupter interrupter_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::condition_variable lineWake_;
  bool stopping_ = false;
  std::size_t serving_ = 0;
  std::deque<Asker> line_;
  std::vector<std::jthread> slots_;
  std::jthread lineKeeper_;
};

}  // namespace espalier::transfer
