// One framed, non-blocking connection on an EventLoop.
//
//   connecting --established--> open --closeAfterFlush--> finishing --flushed, other end done--+
//       |                        |  \--detach--> (taken out of the loop)                       |
//       +--refused, timed out----+--end, reset, hostile length, full queue, close--> closed <--+
//
// Invariants: onOpened comes at most once and first; onClosed exactly once and last, unless the
// connection was detached or the loop destroyed; never from inside a call the owner makes, but at
// the end of the round. No frame is delivered after close, closeAfterFlush, detach or pauseReading.
// Frames that arrived before the end of the stream are delivered before onClosed.
//
// The loop owns it; the object lives until onClosed has returned. Thread rule: the loop's thread
// only. Cost: an idle one is some 300 bytes all told, without a buffer; what is sent in a round
// leaves in one send(2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/net/address.h"
#include "common/net/byte_stream.h"
#include "common/net/event_source.h"
#include "common/wire/frame.h"

namespace espalier::net {

class Connection;
class Dialling;
class EventLoop;

// Whoever gets what happens on connections. Outlives them. May call anything on any connection,
// also close the one it is told of.
class ConnectionHandler {
 public:
  virtual void onOpened(Connection&) {}
  // `payload` is valid during the call.
  virtual void onFrame(Connection&, std::string_view payload) = 0;
  // The queue fell below limits::kQueueLowBytes after it had been above kQueueHighBytes.
  virtual void onDrained(Connection&) {}
  // `why` is a sentence. The object is gone when this returns.
  virtual void onClosed(Connection&, const Error& why) = 0;

 protected:
  ~ConnectionHandler() = default;
};

class Connection final : public EventSource {
 public:
  ~Connection() override;

  ConnectionId id() const { return id_; }
  bool isOpen() const { return state_ == State::open; }
  Endpoint localAddress() const;
  Endpoint remoteAddress() const { return remote_.endpoint(); }
  const Address& remote() const { return remote_; }

  void setHandler(ConnectionHandler& handler) { handler_ = &handler; }

  // Queues one frame of at most limits::kFrameBytes. Ignored unless connecting or open. A queue
  // above limits::kQueueCloseBytes closes the connection.
  void send(std::string_view payload);
  std::size_t queuedBytes() const { return queue_.size() - sent_; }
  // From above kQueueHighBytes until onDrained: whatever feeds this connection should pause.
  bool isCongested() const { return congested_; }

  void pauseReading();
  void resumeReading();

  // Drops what is queued and closes.
  void close(Error why);
  // Delivers no more frames, writes what is queued, waits for the other end to close (so that it
  // can still read our last words: closing with unread bytes resets), 2 s at most.
  void closeAfterFlush(Error why);

  // Closes with `why` at that time, unless called again or kept open before: for an answer that is
  // due.
  void closeAt(TimePoint deadline, Error why);
  void keepOpen();

  // Takes the stream out of the loop, for another owner, with what was received behind the frame
  // that is being delivered. Writes what is queued first; where the other end does not take all of
  // it at once, the connection is closed instead, and nothing is returned. Only while open.
  // onClosed is not called for a detached connection.
  std::unique_ptr<ByteStream> detach();

 private:
  friend class EventLoop;
  friend class Listener;
  enum class State : std::uint8_t { connecting, open, finishing, closed };

  Connection(EventLoop& loop, ConnectionId id, ConnectionHandler& handler,
             std::unique_ptr<ByteStream> stream, const Address& remote, State state);

  void onEvents(std::uint32_t events) override;
  void onTimer(TimePoint now) override;
  Error endError(int errnoValue) const;  // 0: the end of the stream
  void dial(std::unique_ptr<Dialling> dialling, int errnoValue);
  void finishConnecting();
  void connectFailed(std::string why, ErrorCode code);
  void receive();
  void deliver();
  void discard();
  bool flush();
  void finishRound();
  std::uint32_t wantedEvents() const;

  EventLoop* loop_;
  ConnectionHandler* handler_;
  ConnectionId id_;
  std::unique_ptr<ByteStream> stream_;  // none once closed
  std::string queue_;                   // frames; the first sent_ bytes have left
  std::size_t sent_ = 0;
  wire::FrameReader reader_;
  std::unique_ptr<Error> reason_;       // why the timer closes, or what finishing ends with
  std::unique_ptr<Dialling> dialling_;  // while connecting
  Address remote_;
  std::uint32_t interest_ = 0;  // what epoll was told
  State state_;
  bool paused_ = false;
  bool blocked_ = false;    // the socket took less than it was given
  bool congested_ = false;  // until onDrained
  bool ended_ = false;      // the other end sends no more
  bool shutDown_ = false;   // we send no more
  bool dirty_ = false;      // in the loop's list of those to finish in this round
  bool pending_ = false;    // in the loop's list of those with frames to deliver
};

}  // namespace espalier::net
