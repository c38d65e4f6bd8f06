// A bounded number of slots, each a thread that blocks and serves one connection after another.
//
//   waiting --a slot is free--> served --> closed
//      ^                          |
//      +------- turn is over -----+
//
// An asker that finds no free slot waits in a queue of bounded length and is told its position. An
// asker that finds the queue full is told `busy`. While others wait, a slot is granted for a turn
// only; then its connection goes to the end of the queue.
//
// Threads: one a slot, started when first needed, and one that tells the askers in the queue their
// positions, started with the first of them. When the system has no threads left, the existing ones
// do the work. stop(), which the destructor calls, interrupts threads that wait for a stream, and
// joins all.
//
// Used by TransferServer, of the share and of pushes. Thread-safe. serve() never blocks, so the
// event loop may call it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/net/blocking_stream.h"
#include "common/wire/hello.h"

namespace espalier::transfer {

struct SlotOptions {
  std::size_t slots = limits::kUploadSlots;
  std::size_t queue = limits::kUploadQueue;
  Duration silence = limits::kTransferSilence;  // an asker that neither asks nor takes
  Duration waitingInterval = limits::kWaitingInterval;
  Duration turn = limits::kUploadTurn;
};

class UploadSlots {
 public:
  // Whether another asker should have the slot now. `idle`: nothing was asked for lately.
  using TurnIsOver = std::function<bool(bool idle)>;
  // The conversation on one connection. Called by one thread at a time.
  class Conversation {
   public:
    virtual ~Conversation() = default;
    // Serves until the asker leaves (returns false) or its turn is over (true).
    virtual Result<bool> serve(const TurnIsOver& turnIsOver) = 0;
  };
  // The Hello was read from `stream`, which outlives the conversation. `stop` is requested when the
  // server stops. Called by several threads at once.
  using Begin = std::function<std::shared_ptr<Conversation>(net::BlockingStream& stream,
                                                            std::stop_token stop)>;
  struct Status {
    std::size_t serving = 0;
    std::size_t waiting = 0;
  };

  UploadSlots(SlotOptions options, Begin begin);
  ~UploadSlots() { stop(); }
  UploadSlots(const UploadSlots&) = delete;
  UploadSlots& operator=(const UploadSlots&) = delete;

  // Takes a connection from which `hello` was read. Answers with Welcome, or with Failure when it
  // cannot be served.
  void serve(std::unique_ptr<net::ByteStream> stream, const wire::Hello& hello);
  void stop();
  Status status() const;

 private:
  struct Asker {
    std::unique_ptr<net::BlockingStream> stream;
    std::shared_ptr<Conversation> conversation = {};  // once it was served
  };
  Result<bool> converse(Asker& asker);
  bool addThreads();
  void work();
  void keepQueue();

  const SlotOptions options_;
  const Begin begin_;
  net::Interrupter interrupter_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::condition_variable queueWake_;
  bool stopping_ = false;
  std::size_t serving_ = 0;
  std::deque<Asker> queue_;
  std::vector<std::jthread> slots_;
  std::jthread queueKeeper_;
};

}  // namespace espalier::transfer
