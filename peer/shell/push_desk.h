// The files and threads of pushes, around their core: receives the pushes that this peer accepts,
// serves those that it has or made.
//
//   core --PushReceive, PushTakeFrom, PushDrop--> carryOut()          on the loop's thread
//        <--sourceFailed, completed, failed------ a PushReceiver's thread, posted to the loop
//
// Threads: those of PushServer, those of a PushReceiver for each accepted push, and one that ends
// receivers and closes files, which may wait for the disk (joining a thread; the last close of a
// removed file). stop() joins all of them.
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
  // `uploadRate` limits all uploads and outlives it. `options` say where received files go.
  PushDesk(Network& network, transfer::RateLimit& uploadRate,
           transfer::PushReceiverOptions options);
  ~PushDesk() { stop(); }
  const Result<void>& started() const { return started_; }
  PushDesk(const PushDesk&) = delete;
  PushDesk& operator=(const PushDesk&) = delete;

  void stop();

  // --- on the loop's thread
  void serve(std::unique_ptr<net::ByteStream> stream, const wire::Hello& hello) {
    server_.serve(std::move(stream), hello);
  }
  void carryOut(PushJob& job);

  // --- any thread
  // Offers the prepared files, and serves them from now on.
  Result<PushId> start(transfer::PreparedPush prepared, std::vector<PeerId> to);
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
  // Of a push that was dropped: what the tidier still has to end.
  struct Dropped {
    std::unique_ptr<transfer::PushReceiver> receiver;
    std::vector<std::shared_ptr<transfer::PartialFile>> files;
  };
  void receive(const PushReceive& job);
  void drop(const PushId& id);
  void tidy(std::stop_token stop);
  void ended(const PushId& id);

  Network& network_;
  const transfer::PushReceiverOptions options_;
  transfer::PartialFiles store_;
  Guarded<std::map<PushId, Taken>> taken_;
  Guarded<std::map<PushId, std::vector<std::shared_ptr<transfer::PartialFile>>>> sent_;
  Guarded<std::uint64_t> droppedBytes_{0u};  // received by receivers that are gone

  std::mutex droppedMutex_;
  std::condition_variable_any droppedCondition_;
  std::deque<Dropped> dropped_;

  transfer::PushServer server_;
  std::jthread tidier_;
  Result<void> started_;  // after the thread, which its initialiser starts
};

}  // namespace espalier::peer::shell
