// Writes a peer's private messages to STATE/private.db (private_tables.h), on a thread of its own,
// so that a slow disk does not block the event loop.
//
//   write() --> queue --the thread takes all: one transaction--> durable --> onStored(ticket)
//
// What cannot be written is logged once and tried again every second; until then nothing is
// durable, so nothing is acknowledged or sent. The queue is bounded by the core
// (limits::kPrivateWrites, and what the user sends).
//
// Thread: one, started by start(), ended by the destructor when what is queued was tried once more.
// write() and conversation() from any thread: the first does not block, the second waits for the
// disk. `onStored` is called on the thread, without a lock. Owned by PrivateDesk.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "peer/storage/private_tables.h"

namespace espalier::peer::storage {

class PrivateDatabase {
 public:
  using Stored = std::function<void(std::uint64_t ticket)>;

  explicit PrivateDatabase(PrivateTables tables) : tables_(std::move(tables)) {}
  ~PrivateDatabase();
  PrivateDatabase(const PrivateDatabase&) = delete;
  PrivateDatabase& operator=(const PrivateDatabase&) = delete;

  Result<void> start(Stored onStored);

  void write(PrivateWrite write);
  // Makes the file again, because the state folder was removed.
  void writeAgain();
  // What was written before it is in it, if it could be written.
  Result<std::vector<KeptMessage>> conversation(const InstanceHash& with, std::size_t most);

 private:
  struct Question {
    InstanceHash with;
    std::size_t most = 0;
    std::promise<Result<std::vector<KeptMessage>>> answer;
  };

  void run();
  // False: it is to be tried again.
  bool writeBatch(std::vector<PrivateWrite>& batch);

  PrivateTables tables_;  // the thread's
  Stored onStored_;
  bool failing_ = false;

  std::mutex mutex_;
  std::condition_variable woken_;
  std::vector<PrivateWrite> queue_;
  std::deque<Question> questions_;
  bool again_ = false;
  bool ending_ = false;
  std::jthread thread_;
};

}  // namespace espalier::peer::storage
