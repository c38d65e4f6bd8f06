// What exists from the start of the program to its end, before the peer's id is known and after:
// the event loop's thread, the connections to neighbours and metaserver (Network), the event bus.
// main() owns it; Joiner and LocalPeer use it.
//
//   made --start--> running --leave--> ended
//
// It publishes what the core has done on the event bus.
//
// Thread rule: start(), leave() and join() are called from a thread that is not the loop's. The
// functions of NetworkObserver run on the loop's thread and do not block.
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

class Runtime final : private NetworkObserver {
 public:
  // `loop` outlives it.
  Runtime(net::EventLoop& loop, const PeerOptions& options);
  // Leaves, if it has not.
  ~Runtime() override;
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // An error where the system had no thread for the loop.
  Result<void> start();

  // Network::leave(); join() waits for the loop's end.
  void leave();
  void join();

  Network& network() { return network_; }
  EventBus& events() { return events_; }
  MetaserverClient& metaserver() { return metaserver_; }
  TimePoint started() const { return started_; }
  // Whether this peer has been in the network. Any thread.
  bool joined() const { return reporter_.joined(); }

 private:
  // --- NetworkObserver
  void notice(const Notice& notice) override { reporter_.report(notice); }
  void pushChanged(const PushId& id) override { events_.publish(PushChanged{id}); }
  void stepped(const Peer& peer) override;

  net::EventLoop& loop_;
  const TimePoint started_ = Clock::now();
  EventBus events_;
  // --- the loop's thread only
  bool greeted_ = false;
  std::uint64_t members_ = 0;  // as was published last
  // ---
  Network network_;
  NoticeReporter reporter_;
  MetaserverClient metaserver_;
  std::jthread loopThread_;  // last: it uses the rest
};

}  // namespace espalier::peer::shell
