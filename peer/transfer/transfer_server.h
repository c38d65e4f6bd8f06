// Serves file bytes and lists to whoever connects, from a bounded number of slots, each a thread
// with a blocking socket. Who finds no free slot waits in a line of bounded length and is told its
// place; who finds the line full is told `busy`.
//
// States of a connection: waiting -> served -> closed. Threads: one a slot, started when first
// needed, and one that tells those in line their places, started with the first of them. All are
// joined by stop(), which the destructor calls; stop() ends sockets that threads block on.
//
// Thread-safe. serve() never blocks: it may be called from the event loop.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file_descriptor.h"
#include "common/base/limits.h"
#include "common/wire/hello.h"
#include "peer/transfer/sockets.h"
#include "peer/transfer/source.h"
#include "peer/transfer/upload.h"

namespace espalier::transfer {

struct ServerOptions {
  std::size_t slots = limits::kUploadSlots;
  std::size_t line = limits::kUploadLine;
  Duration silence = limits::kTransferSilence;  // an asker that neither asks nor takes
  Duration waitingInterval = limits::kWaitingInterval;
};

struct ServerStatus {
  std::size_t serving = 0;
  std::size_t waiting = 0;
  std::uint64_t chunks = 0;
  std::uint64_t bytes = 0;
};

class TransferServer {
 public:
  // `source` outlives the server.
  explicit TransferServer(FileSource& source, ServerOptions options = {});
  ~TransferServer() { stop(); }
  TransferServer(const TransferServer&) = delete;
  TransferServer& operator=(const TransferServer&) = delete;

  // A connection whose Hello said `transfer`, in any blocking mode; `behind` is what was read after
  // that frame. Answers it with Welcome, or Failure when it cannot be served.
  void serve(FileDescriptor socket, const wire::Hello& hello, std::string behind);
  void stop();
  ServerStatus status() const;

 private:
  struct Asker {
    FileDescriptor socket;
    std::string behind;
  };
  void addThreads();
  void work();
  void keepLine();

  FileSource& source_;
  const ServerOptions options_;
  UploadCounters counters_;
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
