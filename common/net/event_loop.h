// An event loop over epoll, of both programs: connections, listeners, watched descriptors, signals,
// functions that other threads post, one deadline. It knows frames, not messages.
//
// One round:
//   1. what was sent is written, what was closed is told (onDrained, onClosed)
//   2. wait for events
//   3. frames that the last round left, then the events: signals, accepts, reads, writes
//   4. posted functions
//   5. timers and the tick
// So everything that has arrived is read before a timer judges another end as silent. The timers
// wait until every descriptor has had its turn in two cases: this process was itself stopped (a
// timer is late by more than limits::kStall), or there is more to read than fits one round.
//
// Fairness: in a round a connection has one read of limits::kReadBytes and limits::kFramesPerRound
// frames; one that sends requests, or is a guest, has less, and of those with frames left over only
// limits::kEventsPerRound have a turn in one round. epoll is level-triggered, so no read must run
// into EAGAIN. The interest in writing is registered only while a stream is full, so most
// connections cost one epoll_ctl in their lifetime.
//
// Thread rule: constructed anywhere, then used by the one thread that calls run(). post() and
// stop() may be called by any thread, stop() also by a signal handler. Cost: a round is O(what
// happened in it), a timer O(log n).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/net/connection_costs.h"
#include "common/net/framed_connection.h"
#include "common/net/poller.h"
#include "common/net/posted_functions.h"
#include "common/net/resolver.h"
#include "common/net/timers.h"

namespace espalier::net {

class EventLoop {
 public:
  // Fails when the process is out of descriptors. `budget` is the process's; without one the loop
  // makes its own.
  static Result<std::unique_ptr<EventLoop>> create(std::shared_ptr<Budget> budget = nullptr);
  // Closes what is left without telling the handlers. Listeners must be gone.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs until stop(). What was sent before stop() is still written if possible. May be called
  // again.
  void run();
  void stop();
  // Writes the queues now instead of at the end of the round: for a caller that has long work to
  // do. On the loop's thread.
  void flush();
  // Functions run in the order of posting, in a later round. Any thread; blocks other threads than
  // the loop's while limits::kPostedFunctions wait (posted_functions.h).
  void post(std::function<void()> function) { posted_->post(std::move(function)); }
  // For threads that may outlive the loop. The owner closes it when it does not call run() again.
  std::shared_ptr<PostedFunctions> posted() const { return posted_; }

  // Before each wait the loop asks for the deadline, and calls `tick` once it has passed.
  void setTick(std::function<TimePoint()> deadline, std::function<void(TimePoint now)> tick);

  // Blocks these signals in the calling thread, and calls `handler` for them on the loop. Must be
  // called before other threads start, because they inherit the mask, and a thread that does not
  // block a signal may get it. The signals stay blocked after the loop's end. An ignored signal
  // stays ignored.
  Result<void> addSignalHandler(std::initializer_list<int> signals,
                                std::function<void(int)> handler);

  // Calls `readable` in each round in which the descriptor (an inotify, a terminal; not a regular
  // file) can be read or has ended. The caller owns it, and calls unwatch() before it closes it.
  Result<void> watch(int descriptor, std::function<void()> readable);
  void unwatch(int descriptor);

  // Connects without blocking; `id` is new. Frames that are sent before the connection is open
  // wait. Failures of the other end (refused, silent) are reported by onClosed, with code
  // `unavailable` or `timeout`.
  //
  // The host must be an IP literal; otherwise an error of code `usage`.
  Result<FramedConnection*> dial(ConnectionId id, const Endpoint& to, ConnectionHandler& handler,
                                 Duration timeout = limits::kConnectTimeout);
  // Tries the addresses of a host in turn, each for its part of the time.
  Result<FramedConnection*> dial(ConnectionId id, Target to, ConnectionHandler& handler,
                                 Duration timeout = limits::kConnectTimeout);
  // Looks the host up first. onClosed reports a failed look-up, and whatever fails after it.
  Result<FramedConnection*> dialName(ConnectionId id, const Endpoint& to, NamedBy who,
                                     ConnectionHandler& handler,
                                     Duration timeout = limits::kConnectTimeout,
                                     Resolver& resolver = Resolver::ofSystem());
  // Takes over a connected stream: the connection is open. onOpened is not called.
  Result<FramedConnection*> adopt(ConnectionId id, std::unique_ptr<ByteStream> stream,
                                  const Address& remote, ConnectionHandler& handler);
  // What others may cost this process. Any thread.
  const std::shared_ptr<Budget>& budget() const { return budget_; }
  // nullptr once it is closed or detached.
  FramedConnection* find(ConnectionId id);
  std::size_t connectionCount() const { return connections_.size(); }

 private:
  friend class ConnectionCosts;
  friend class FramedConnection;
  friend class Listener;
  struct Closing {
    std::unique_ptr<FramedConnection> connection;
    Error why;
    bool isTold = true;  // onClosed is called; not for a detached one
  };

  EventLoop(Poller poller, std::shared_ptr<PostedFunctions> posted, std::shared_ptr<Budget> budget);

  // --- the steps of a round
  void round();
  bool finishRound();
  void finishRoundOnce();
  void deliverPending();
  void runPosted();
  bool mayJudge(TimePoint now, TimePoint due, int eventCount);
  TimePoint nextDeadline() const;
  int waitMilliseconds() const;

  // --- for connections and listeners
  Result<void> attach(FramedConnection& connection, std::unique_ptr<ByteStream> stream);
  Result<void> changeInterest(FramedConnection& connection, std::uint32_t events);
  void release(FramedConnection& connection);
  void remove(FramedConnection& connection, Error why);
  void forget(EventSource& source);
  void setTimer(EventSource& source, TimePoint at) { timers_.set(source, at); }
  void markDirty(FramedConnection& connection);
  void markPending(FramedConnection& connection);

  Result<FramedConnection*> insert(ConnectionId id, ConnectionHandler& handler,
                                   FramedConnection::State state);
  void resolved(ConnectionId id, Result<Target> target, Duration timeout);
  Result<void> addWatch(int descriptor, bool owned, std::function<void()> readable);

  Poller poller_;
  Timers timers_;
  std::atomic<bool> stopping_{false};
  const std::shared_ptr<PostedFunctions> posted_;
  const std::shared_ptr<Budget> budget_;
  std::function<TimePoint()> deadline_;
  std::function<void(TimePoint)> tick_;

  ConnectionCosts costs_{*this};
  std::unordered_map<ConnectionId, std::unique_ptr<FramedConnection>> connections_;
  std::map<int, std::unique_ptr<EventSource>> watches_;
  // By id, not by address: a connection may be gone when its turn comes.
  std::vector<ConnectionId> dirty_;    // to be finished in this round
  std::vector<ConnectionId> pending_;  // has frames to deliver in the next round
  std::vector<ConnectionId> drained_;  // to be told so
  std::vector<ConnectionId> scratch_;  // the list that is being worked through
  std::vector<Closing> closing_;
  std::vector<std::unique_ptr<EventSource>> unwatched_;  // until the end of the round

  std::vector<char> readBuffer_;
  // While timers wait until everything that has arrived is read (mayJudge()).
  bool owing_ = false;
  std::size_t roundsOwed_ = 0;
};

}  // namespace espalier::net
