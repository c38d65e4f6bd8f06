// A small epoll loop over POCO's sockets: connections, listeners, descriptors to watch, signals,
// functions posted from other threads, one deadline. Knows frames, not messages.
//
// A round: wait · signals, accepts, frames · posted functions · timers and the tick · what was
// sent is written, what was closed is told. So whatever has arrived is read before anybody is
// judged silent. When the process was itself stopped (a deadline overrun by more than
// limits::kStall) or there is more to read than fits a round, the timers wait until every socket
// has had its turn.
//
// Level-triggered: a descriptor that still has bytes comes up again by itself, so a round may stop
// anywhere (fairness: one read of limits::kReadBytes and limits::kFramesPerRound frames of each
// connection a round) and no read has to run into EAGAIN; the interest in writing is registered
// only while a socket is full, so most connections cost one epoll_ctl in their life.
//
// Thread rule: constructed anywhere, used by the one thread that calls run(); post() and stop()
// from any thread, stop() also from a signal handler. Cost: a round is O(what happened in it), a
// timer O(log n).
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/net/connection.h"
#include "common/net/posted_functions.h"
#include "common/net/resolver.h"

namespace espalier::net {

class EventLoop {
 public:
  // Fails when the process is out of descriptors.
  static Result<std::unique_ptr<EventLoop>> create();
  // Closes what is left without telling the handlers. Listeners must be gone.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Until stop(); what was sent before it is still tried to be written. May be called again.
  void run();
  void stop();
  // Sends what is queued now, not only when this round ends: for who has long work left in it. On
  // the loop's thread.
  void flush();
  // In the order of posting, in a later round. Any thread; blocks others than the loop's while
  // limits::kPostedFunctions wait (see posted_functions.h).
  void post(std::function<void()> function) { posted_->post(std::move(function)); }
  // For threads that may outlive the loop. Its owner closes it when run() is not called again.
  std::shared_ptr<PostedFunctions> posted() const { return posted_; }

  // Before each wait the loop asks for the deadline, and calls `tick` once it has passed.
  void setTick(std::function<TimePoint()> deadline, std::function<void(TimePoint now)> tick);

  // Blocks these signals in the calling thread and tells `handler` of them on the loop. Call it
  // before other threads start: they inherit the mask, and a thread that does not block a signal
  // may get it instead. They stay blocked when the loop is gone. What is ignored stays ignored.
  Result<void> addSignalHandler(std::initializer_list<int> signals,
                                std::function<void(int)> handler);

  // Calls `readable` in each round in which the descriptor (an inotify, a terminal; no regular
  // file) has something to read or has ended. It stays the caller's, who unwatches before closing.
  Result<void> watch(int descriptor, std::function<void()> readable);
  void unwatch(int descriptor);

  // Connects without blocking. The host is an IP literal (else: error of code `usage`). What the
  // other end does wrong (refuses, keeps silent) is told through onClosed, code `unavailable` or
  // `timeout`; what is sent meanwhile waits. `id` is new.
  Result<Connection*> dial(ConnectionId id, const Endpoint& to, ConnectionHandler& handler,
                           Duration timeout = limits::kConnectTimeout);
  // The same with the addresses of a name: each is tried in turn, for its part of the time.
  Result<Connection*> dial(ConnectionId id, Target to, ConnectionHandler& handler,
                           Duration timeout = limits::kConnectTimeout);
  // Takes over a connected stream. onOpened is not called.
  Result<Connection*> adopt(ConnectionId id, std::unique_ptr<ByteStream> stream,
                            const Address& remote, ConnectionHandler& handler);
  // nullptr once it is closed or detached.
  Connection* find(ConnectionId id);
  std::size_t connectionCount() const { return connections_.size(); }

 private:
  friend class Connection;
  friend class Listener;
  struct Closing {
    std::unique_ptr<Connection> connection;
    Error why;
    bool told;  // nobody waits for onClosed of a detached one
  };

  EventLoop(int epoll, FileDescriptor wake);
  void round();
  void dispatch(int count);
  void deliverPending();
  void runPosted();
  void runTimers(TimePoint now);
  bool mayJudge(TimePoint now, TimePoint due, int eventCount);
  bool finishRound();
  void finishRoundOnce();
  TimePoint nextDeadline() const;
  int waitMilliseconds() const;

  Result<void> reconnect(Connection& connection, std::unique_ptr<ByteStream> stream);
  Result<Connection*> add(ConnectionId id, std::unique_ptr<ByteStream> stream,
                          const Address& remote, ConnectionHandler& handler,
                          Connection::State state);
  Result<void> addWatch(int descriptor, bool owned, std::function<void()> readable);
  Result<void> control(int operation, int descriptor, std::uint32_t events, EventSource* source);
  void forget(EventSource& source);  // events of this round that have not been told yet
  void setTimer(EventSource& source, TimePoint at);
  void remove(Connection& connection, Error why, bool told);
  void markDirty(Connection& connection);
  void markPending(Connection& connection);

  const int epoll_;
  std::atomic<bool> stopping_{false};
  const std::shared_ptr<PostedFunctions> posted_;
  std::function<TimePoint()> deadline_;
  std::function<void(TimePoint)> tick_;

  std::unordered_map<ConnectionId, std::unique_ptr<Connection>> connections_;
  std::map<int, std::unique_ptr<EventSource>> watches_;
  std::set<std::pair<TimePoint, EventSource*>> timers_;
  // By id, not by address: a connection may be gone when its turn comes.
  std::vector<ConnectionId> dirty_;
  std::vector<ConnectionId> pending_;
  std::vector<ConnectionId> drained_;
  std::vector<ConnectionId> scratch_;  // the list being worked through
  std::vector<Closing> closing_;
  std::vector<std::unique_ptr<EventSource>> unwatched_;

  std::vector<char> readBuffer_;
  std::array<epoll_event, limits::kEventsPerRound> events_;
  int nextEvent_ = 0;  // of eventCount_, not told yet
  int eventCount_ = 0;
  std::size_t roundsOwed_ = 0;  // of reading, before anybody is judged
  bool owing_ = false;
};

}  // namespace espalier::net
