// What a peer's pushes need besides their core: the files, the threads that take and give them, and
// the commands that watch.
//
//   core --PushReceive, PushTakeFrom, PushDrop--> carryOut()          on the loop's thread
//        <--sourceFailed, completed, failed------ a PushReceiver's thread, posted to the loop
//
// Threads: those of PushServer and of a PushReceiver each push that is taken; one that ends
// receivers and closes files, which may wait for a disk (joining a thread; the last close of a file
// that was removed). All are joined by stop().
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "common/base/guarded.h"
#include "peer/shell/network.h"
#include "peer/transfer/push_files.h"
#include "peer/transfer/push_receiver.h"
#include "peer/transfer/push_server.h"

namespace espalier::peer::shell {

class PushDesk {
 public:
  // The rates are those of all uploads and of all downloads; they outlive it.
  PushDesk(Network& network, transfer::RateLimit& upload, transfer::RateLimit& download);
  ~PushDesk() { stop(); }
  const Result<void>& started() const { return started_; }
  PushDesk(const PushDesk&) = delete;
  PushDesk& operator=(const PushDesk&) = delete;

  // Where files go from now on; called before the peer joins.
  void configure(transfer::PushReceiverOptions options);
  void stop();

  // --- on the loop's thread
  void serve(std::unique_ptr<net::ByteStream> stream, const wire::Hello& hello) {
    server_.serve(std::move(stream), hello);
  }
  void carryOut(PushJob& job);
  void changed(const PushId& id);

  // --- any thread
  // Offers what was prepared; from now on it is served.
  Result<PushId> start(transfer::PreparedPush prepared, std::vector<PeerId> to);
  // Waits until the push's ledger has changed since `seen`, or the time is over; the new count.
  std::uint64_t await(const PushId& id, std::uint64_t seen, std::stop_token stop,
                      Duration patience);
  std::optional<Pushes::View> view(const PushId& id);
  std::vector<PushId> ids();
  void finish(const PushId& id, wire::PushEnd end);

  struct Incoming {
    std::string name;  // of the first file
    std::size_t files = 0;
    std::vector<PeerId> from;
    std::uint64_t doneBytes = 0;
    std::uint64_t totalBytes = 0;
  };
  std::vector<Incoming> incoming() const;
  std::uint64_t sentBytes() const { return server_.bytes(); }
  std::uint64_t receivedBytes() const;

 private:
  struct Taken {
    PeerId sender;
    std::vector<wire::PushFile> files;
    bool ended = false;
    std::unique_ptr<transfer::PushReceiver> receiver;
  };
  // What a push leaves behind.
  struct Dropped {
    std::unique_ptr<transfer::PushReceiver> receiver;
    std::vector<std::shared_ptr<transfer::PartialFile>> files;
  };
  void receive(const PushReceive& job);
  void drop(const PushId& id);
  void tidy(std::stop_token stop);
  void ended(const PushId& id);

  Network& network_;
  transfer::RateLimit& downloadRate_;
  transfer::PartialFiles store_;
  Guarded<transfer::PushReceiverOptions> options_;
  Guarded<std::map<PushId, Taken>> taken_;
  Guarded<std::map<PushId, std::vector<std::shared_ptr<transfer::PartialFile>>>> sent_;
  Guarded<std::uint64_t> droppedBytes_{0u};  // received by receivers that are gone

  std::mutex changesMutex_;
  std::condition_variable_any changesCondition_;
  std::map<PushId, std::uint64_t> changes_;

  std::mutex droppedMutex_;
  std::condition_variable_any droppedCondition_;
  std::deque<Dropped> dropped_;

  transfer::PushServer server_;
  std::jthread tidier_;
  Result<void> started_;  // after the thread, which its initialiser starts
};

}  // namespace espalier::peer::shell
