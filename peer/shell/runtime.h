// What runs from the start of the program to its end, whatever id the peer has: the event loop's
// thread, the control connections, the event bus.
//
//   made --start--> running --leave--> ended
//
// While it runs, one PeerHandler may be attached: the part of the peer that exists only once its id
// is known (local_peer.h). Without one, match jobs, pushes and incoming transfers are dropped; the
// core has none of them before it has joined.
//
// Thread rule: the handler and the timers are called on the loop's thread and must not block.
// start(), attach(), detach() and leave() are called from another thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/net/event_loop.h"
#include "peer/shell/events.h"
#include "peer/shell/metaserver_client.h"
#include "peer/shell/network.h"
#include "peer/shell/notice_reporter.h"
#include "peer/shell/options.h"

namespace espalier::peer::shell {

// What the network needs of a peer that has an id.
class PeerHandler {
 public:
  virtual ~PeerHandler() = default;
  virtual void match(const MatchJob& job) = 0;
  virtual void searched(SearchUpdate& update) = 0;
  // A connection whose Hello said `transfer` or `push`.
  virtual void serve(std::unique_ptr<net::ByteStream> stream, const wire::Hello& hello) = 0;
  virtual void carryOut(PushJob& job) = 0;
};

// Something that is due at times, on the loop's thread.
class LoopTimer {
 public:
  virtual ~LoopTimer() = default;
  virtual TimePoint deadline() const = 0;
  virtual void tick(TimePoint now) = 0;  // when the deadline has passed
};

class Runtime {
 public:
  // `loop` outlives it.
  Runtime(net::EventLoop& loop, const PeerOptions& options);
  // Leaves, if it has not.
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Before start(). The timer outlives the loop's thread.
  void add(LoopTimer& timer) { timers_.push_back(&timer); }
  // An error where the system had no thread for the loop.
  Result<void> start();

  // From now on; once it is detached, or the loop has ended, it is called no more.
  void attach(PeerHandler& handler);
  void detach();

  // Says goodbye to neighbours and metaserver. The loop ends once that was heard, or after half a
  // second; join() waits for it.
  void leave();
  void join();

  Network& network() { return network_; }
  EventBus& events() { return events_; }
  MetaserverClient& metaserver() { return metaserver_; }
  TimePoint started() const { return started_; }
  // Whether this peer has been in the network. Any thread.
  bool joined() const { return reporter_.joined(); }

 private:
  Network::Owner owner();
  void stepped(const Peer& peer);
  TimePoint deadline() const;
  void tick(TimePoint now);

  net::EventLoop& loop_;
  const TimePoint started_ = Clock::now();
  EventBus events_;
  // --- the loop's thread only
  PeerHandler* handler_ = nullptr;
  std::vector<LoopTimer*> timers_;
  bool greeted_ = false;
  std::uint64_t members_ = 0;  // as was published last
  // ---
  Network network_;
  NoticeReporter reporter_;
  MetaserverClient metaserver_;
  std::jthread loopThread_;  // last: it uses the rest
};

}  // namespace espalier::peer::shell
