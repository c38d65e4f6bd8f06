// A connection that carries frames (wire/frame.h) over a ByteStream, on an EventLoop. Made by
// EventLoop and Listener; handled by Network, Server, Prober and handshake.h.
//
//   resolving -> connecting -> open -> finishing -> closed
//
//   resolving    the host name is being looked up
//   connecting   its addresses are tried in turn
//   open         frames go both ways; accepted connections begin here
//   finishing    closeAfterFlush() was called: the queue is written, then the end of the stream.
//                What arrives is dropped until the other end closes (limits::kGoodbyeTimeout at
//                most)
//   closed       from any state: close(), a failure, the end of the stream, a hostile length, a
//                queue above limits::kQueueCloseBytes, a frame that is not complete in time
//                (limits::kFrameTimeout), a bound of the budget (connection_costs.h)
//
// An open connection can also be detached: its stream goes to another owner. In the states open and
// finishing the two directions have states of their own:
//
//   receiving   frames <--pauseReading, resumeReading--> paused;  either --> discarding --> ended
//               A connection of answerRequests() is not read either while more than
//               limits::kUnreadAnswers are queued for it.
//   sending     ready <--the stream took less than it was given--> waiting;  either --> ended
//
// Invariants: onOpened comes at most once and first. onClosed comes exactly once and last, but not
// for a connection that was detached or whose loop was destroyed. It is called at the end of the
// round, never from inside a call that the handler makes. No frame is delivered after close,
// closeAfterFlush, detach or pauseReading. Frames that arrived before the end of the stream are
// delivered before onClosed. Frames that were queued before the connection is open wait for that.
//
// What it holds is charged to the budget (connection_costs.h): what is still unsent at the end of a
// round, what has arrived of incomplete frames, and the connection itself while it is a guest: an
// accepted one on which no member was admitted yet. The system's buffer is not charged, but bounded
// (ByteStream::boundUnsent).
//
// The loop owns it; the object lives until onClosed has returned. Thread rule: the loop's thread
// only. Cost: an idle one is some 350 bytes and has no buffer; what is sent in one round leaves in
// one write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/net/address.h"
#include "common/net/byte_stream.h"
#include "common/net/connection_costs.h"
#include "common/net/event_source.h"
#include "common/net/send_queue.h"
#include "common/wire/frame.h"

namespace espalier::net {

class Dialling;
class EventLoop;
class FramedConnection;

// Gets what happens on connections. Outlives them. May call anything on any connection, and may
// close the one that it is told of.
class ConnectionHandler {
 public:
  virtual void onOpened(FramedConnection&) {}
  // `payload` is valid during the call.
  virtual void onFrame(FramedConnection&, std::string_view payload) = 0;
  // The queue was congested, and is below limits::kQueueLowBytes now.
  virtual void onDrained(FramedConnection&) {}
  // `why` is a sentence. The object is gone when this returns.
  virtual void onClosed(FramedConnection&, const Error& why) = 0;

 protected:
  ~ConnectionHandler() = default;
};

class FramedConnection final : public EventSource {
 public:
  ~FramedConnection() override;

  ConnectionId id() const { return id_; }
  bool isOpen() const { return state_ == State::open; }
  // Empty while the host is being looked up, and once closed.
  Endpoint localAddress() const;
  Endpoint remoteAddress() const { return remote_.endpoint(); }
  const Address& remote() const { return remote_; }

  // Who pays for what this connection costs: the address of the other end (none before it is
  // known), and from admit() on the member that was admitted on it.
  const Account& account() const { return account_; }
  // What the connection holds moves to the member's account, and it is no guest any more.
  void admit(const PeerId& member) { admit(Payer::member(member)); }
  void admit(const Payer& payer);
  // The other end sends requests, and each frame that is sent here answers one. While it does not
  // read its answers, its requests are not read. Not for links of the tree: two ends that wait for
  // each other would wait for ever.
  void answerRequests() { answers_ = true; }

  void setHandler(ConnectionHandler& handler) { handler_ = &handler; }

  // Queues one frame of at most limits::kFrameBytes. Ignored when finishing or closed.
  void send(std::string_view payload);
  std::size_t queuedBytes() const { return queue_.size(); }
  // Until onDrained: the sources of what is sent here should pause.
  bool isCongested() const { return queue_.isCongested(); }

  void pauseReading();
  void resumeReading();

  // Drops what is queued and closes.
  void close(Error why);
  // Closes once the other end has read all that was sent. A plain close with unread bytes resets
  // the connection, and the other end may lose what it has not read yet.
  void closeAfterFlush(Error why);

  // Closes with a timeout of these words at that time, unless closeAt() or keepOpen() is called
  // before. The words live as long as the program.
  void closeAt(TimePoint deadline, const char* why);
  void keepOpen();

  // Takes the stream out of the loop, for another owner, together with what was received behind the
  // frame that is being delivered. Writes what is queued first; where the other end does not take
  // all of it at once, the connection is closed instead, and nothing is returned. Only while open.
  std::unique_ptr<ByteStream> detach();

 private:
  friend class EventLoop;
  friend class ConnectionCosts;
  enum class State : std::uint8_t { resolving, connecting, open, finishing, closed };
  enum class Receiving : std::uint8_t { frames, paused, discarding, ended };
  enum class Sending : std::uint8_t { ready, waiting, ended };

  FramedConnection(EventLoop& loop, ConnectionId id, ConnectionHandler& handler, State state);

  void setRemote(const Address& remote);
  // --- connecting
  Result<void> dial(Dialling dialling);
  Result<void> connectNext(ErrorCode code);
  void connectFailed(std::string why, ErrorCode code);
  void finishConnecting();

  // --- called by the loop
  void onEvents(std::uint32_t events) override;
  void onTimer(TimePoint now) override;
  void continueReading();  // its turn, after markPending()
  void finishRound();      // its turn, after markDirty()
  std::uint32_t wantedEvents() const;

  void receive();
  void deliver();
  void awaitFrame(bool delivered);
  bool isHeldBack() const;
  void awaitReader();
  void awaitOwner();
  void continueHeldBack();
  bool isServedInSlices() const { return answers_ || charges_.guest > 0; }
  bool isReading() const {
    return state_ == State::open && receiving_ == Receiving::frames && !heldBack_;
  }
  void discard();
  // False: the connection was closed.
  bool flush();
  void sendEnd();
  Error endError(int errnoValue) const;  // 0: the end of the stream

  EventLoop* loop_;
  ConnectionHandler* handler_;
  ConnectionId id_;
  std::unique_ptr<ByteStream> stream_;  // none while resolving, and once closed
  SendQueue queue_;
  wire::FrameReader reader_;
  std::unique_ptr<Error> reason_;       // what finishing ends with
  const char* lateFor_ = nullptr;       // why the timer closes an open one
  std::unique_ptr<Dialling> dialling_;  // while connecting
  Address remote_;
  Account account_;
  TimePoint frameSince_ = kNever;  // since when the rest of a frame is awaited
  ConnectionCosts::Charges charges_;
  std::uint32_t interest_ = 0;  // the events that epoll was told
  std::uint32_t readOn_;        // the event on which reading is tried again
  std::uint32_t writeOn_;       // the event on which writing is tried again
  State state_;
  Receiving receiving_ = Receiving::frames;
  Sending sending_ = Sending::ready;
  // In which of the loop's lists it is.
  bool dirty_ = false;     // to be finished in this round
  bool pending_ = false;   // has frames or bytes to deliver in the next round
  bool answers_ = false;   // see answerRequests()
  bool heldBack_ = false;  // frames that have arrived wait until its answers are read
};

}  // namespace espalier::net
