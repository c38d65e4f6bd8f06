// Serves the bytes of pushes: connections whose Hello said `push`. They ask as a transfer does
// (lists of hashes, chunks), but what is not there yet is waited for, with a sign of life each
// limits::kPushWaiting, so that a peer forwards a chunk as soon as it has verified it. Apart from
// TransferServer, so that a line of askers never holds up a chain.
//
// Threads: one a connection, limits::kPushSlots at most, others are told `busy`; joined by stop(),
// which ends the store's files. Thread-safe; serve() never blocks.
#pragma once

#include <atomic>
#include <condition_variable>
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
#include "peer/transfer/push_store.h"
#include "peer/transfer/sockets.h"

namespace espalier::transfer {

struct PushServerOptions {
  std::size_t slots = limits::kPushSlots;
  Duration waiting = limits::kPushWaiting;
  Duration silence = limits::kTransferSilence;  // an asker that neither asks nor takes
};

class PushServer {
 public:
  // `store` outlives the server.
  explicit PushServer(PushStore& store, PushServerOptions options = {});
  ~PushServer() { stop(); }
  PushServer(const PushServer&) = delete;
  PushServer& operator=(const PushServer&) = delete;

  // As TransferServer::serve().
  void serve(FileDescriptor socket, const wire::Hello& hello, std::string behind);
  void stop();
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct Asker {
    FileDescriptor socket;
    std::string behind;
  };
  void work();

  PushStore& store_;
  const PushServerOptions options_;
  std::atomic<std::uint64_t> bytes_{0};
  Interrupter interrupter_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  bool stopping_ = false;
  std::size_t serving_ = 0;  // those in line among them
  std::deque<Asker> line_;   // as many as threads are about to be free
  std::vector<std::jthread> slots_;
};

}  // namespace espalier::transfer
