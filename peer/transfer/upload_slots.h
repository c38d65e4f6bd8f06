// Connections of askers, and a bounded number of slots: threads that serve those that have
// something to do, in slices.
//
//            asks                   a slot is free
//   resting -----> ready (queue) -----------------> served --left, failed--> closed
//      ^             ^                               |   |
//      |             +--- the slice is over ---------+   |
//      +----------------- asks for nothing, or takes nothing
//
// A resting asker costs no thread: one keeper thread waits for the sockets of all of them. So
// askers that ask for nothing, or read slowly or nothing, keep no slot from others. A slice ends
// when others are ready and SlotOptions::turn is over, also within a chunk. Who is ready is served
// in the order of UploadOrder, and is told its position now and then.
//
// Bounds: SlotOptions::held of the budget, for each address and in all. When they are reached, an
// asker that comes with a request takes the place of the one that loses least: of its own address
// if the bound of that is reached, else of the address that has most, or its own. That is one that
// never asked, then one between two requests (the longest idle first), then one that takes its
// answers more slowly than kUploadRateLeast (the slowest first), then one that waits for bytes that
// this peer does not have yet (the longest waiting first). Without such a one the newcomer is told
// `busy`. A newcomer without a request takes only the place of one that never asked. Of askers with
// something to do, SlotOptions::queue are accepted beyond the slots. Answers that are not taken are
// bounded by Held::uploadBytes: the resting asker that holds most is closed.
//
// Threads: the keeper and one a slot, started when first needed. When the system has no threads
// left, the existing ones do the work. stop(), which the destructor calls, interrupts threads that
// wait for a stream, and joins all.
//
// Used by TransferServer, of the share and of pushes. Thread-safe. serve() never blocks, so the
// event loop may call it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/net/blocking_stream.h"
#include "common/wire/hello.h"
#include "peer/transfer/ready_set.h"
#include "peer/transfer/upload_order.h"

namespace espalier::transfer {

struct SlotOptions {
  std::size_t slots = limits::kUploadSlots;
  std::size_t queue = limits::kUploadQueue;
  Duration silence = limits::kTransferSilence;  // an asker that neither asks nor takes
  Duration waitingInterval = limits::kWaitingInterval;
  Duration turn = limits::kUploadTurn;
  Duration deaf = limits::kUploadDeaf;
  limits::Held held = limits::Held::uploads;
  std::shared_ptr<Budget> budget = std::make_shared<Budget>();  // of the process
};

class UploadSlots {
 public:
  // A thread's time for one asker.
  class Slice {
   public:
    // Others are ready, and have waited long enough.
    bool isOver() const;
    // How long to wait in the thread for the asker: shorter while others are ready.
    Duration patience() const;

   private:
    friend class UploadSlots;
    explicit Slice(const UploadSlots& slots) : slots_(slots) {}

    const UploadSlots& slots_;
    const TimePoint begun_ = Clock::now();
  };
  enum class Next {
    left,      // the asker is gone
    later,     // the slice is over, and there is more to do
    readable,  // nothing to do until the asker's next bytes are there
    writable,  // nothing to do until the asker takes bytes
  };
  // The conversation on one connection. serve() is called by one thread at a time, the rest by any.
  class Conversation {
   public:
    virtual ~Conversation() = default;
    // Serves until one of Next is reached. Blocks for the slice's patience only.
    virtual Result<Next> serve(const Slice& slice) = 0;
    // The memory that is held while it rests. Called while it does.
    virtual std::size_t heldBytes() const { return 0; }
    // Whether a frame may be sent from outside. Called while it waits in the queue.
    virtual bool isBetweenFrames() const { return true; }

    bool hasAsked() const { return hasAsked_; }
    std::uint64_t takenBytes() const { return takenBytes_; }
    TimePoint activeAt() const { return TimePoint(Duration(activeAt_)); }  // asked, or took a byte
    // Since when its next answer waits for bytes that this peer does not have yet; kNever: it does
    // not wait. Signs of life do not end the wait.
    TimePoint waitsSince() const { return TimePoint(Duration(waitsSince_)); }

   protected:
    void asked() {
      hasAsked_ = true;
      activeAt_ = Clock::now().time_since_epoch().count();
    }
    void took(std::uint64_t bytes) {
      takenBytes_ += bytes;
      activeAt_ = Clock::now().time_since_epoch().count();
    }
    void setWaitsSince(TimePoint when) { waitsSince_ = when.time_since_epoch().count(); }

   private:
    std::atomic<bool> hasAsked_ = false;
    std::atomic<std::uint64_t> takenBytes_ = 0;
    std::atomic<Duration::rep> activeAt_ = Clock::now().time_since_epoch().count();
    std::atomic<Duration::rep> waitsSince_ = kNever.time_since_epoch().count();
  };
  // The Hello was read from `stream`, which outlives the conversation. `stop` is requested when the
  // server stops. Called by several threads at once.
  using Begin = std::function<std::shared_ptr<Conversation>(net::BlockingStream& stream,
                                                            std::stop_token stop)>;
  struct Status {
    std::size_t serving = 0;      // with something to do: served, or resting until they take bytes
    std::size_t waiting = 0;      // ready
    std::size_t connections = 0;  // in all
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
  using Key = UploadOrder::Key;
  enum class State { ready, served, asking, taking };  // the last two: resting
  struct Asker {
    std::unique_ptr<net::BlockingStream> stream;
    Hold place;                                       // in the table
    Hold bytes;                                       // of answers that it does not take
    std::shared_ptr<Conversation> conversation = {};  // once it was served
    State state = State::ready;
    bool isWatched = false;    // in the ReadySet
    bool isDisplaced = false;  // while it is served
    TimePoint came = Clock::now();
    TimePoint since = came;  // when it entered its state
    TimePoint told = came;   // its position
  };
  using Askers = std::map<Key, std::unique_ptr<Asker>>;
  // Closed after the lock was given back.
  using Closed = std::vector<std::unique_ptr<Asker>>;

  const char* admit(Asker& asker, bool asks, Closed& closed);
  bool displace(const Payer& newcomer, bool asks, bool working, Closed& closed);
  bool displaceOf(const Payer& payer, bool asks, bool working, Closed& closed);
  Askers::iterator weakest(const Payer& payer, bool asks, bool working);
  Payer payerOfMost() const;
  std::size_t working() const;
  bool addThreads();
  Result<void> addSlot();
  void makeReady(Key key, Asker& asker);
  void close(Askers::iterator place, Closed& closed);
  Result<Next> converse(Asker& asker);
  bool payForRest(Asker& asker, Closed& closed);
  void settle(Key key, const Result<Next>& next, Closed& closed);
  void work();
  void keep();
  void look(TimePoint now, Closed& closed);
  bool tellPosition(Asker& asker, std::size_t position, TimePoint now) const;

  const SlotOptions options_;
  const Begin begin_;
  net::Interrupter interrupter_;
  ReadySet readySet_;
  std::atomic<std::size_t> readyCount_ = 0;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  bool stopping_ = false;
  Key next_ = ReadySet::kNone + 1;
  Askers askers_;
  UploadOrder order_;  // of those in State::ready
  std::size_t serving_ = 0;
  std::vector<std::jthread> slots_;
  std::jthread keeper_;
};

}  // namespace espalier::transfer
