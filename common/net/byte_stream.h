// A connected stream of bytes that never blocks; the lowest layer of a connection:
//
//   ByteStream          bytes: TcpStream today, a TLS stream later
//   FramedConnection    frames on an EventLoop        BlockingStream    a thread that may wait
//   handshake.h         Hello and Welcome, once for both
//
// Each call moves as many bytes as it can at once. If it moved none, it says what to wait for. A
// stream may want to read while it is asked to write, and to write while it is asked to read (TLS
// does both in its handshake). The caller waits for what the result names (wantRead, wantWrite) and
// repeats the same call. A repeated write begins with the same bytes; the buffer may have moved,
// and more may follow.
//
// Invariants: at most one owner reads and one writes. write() may take only some of the bytes; the
// next writer must send the rest, to complete the message. Bytes that were read too far are put
// back with unread() and are read first; so an owner can hand the stream to another one between two
// messages.
// pending() counts the bytes that read() returns without the descriptor: a caller that waits for
// the descriptor while some are pending may wait for ever.
//
// Not thread-safe, except cut().
#pragma once

#include <Poco/Net/StreamSocket.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/base/file_descriptor.h"
#include "common/net/address.h"

namespace espalier::net {

struct IoResult {
  enum class State : std::uint8_t {
    done,       // `bytes` were moved: at least one, except for endWriting()
    wantRead,   // repeat the call once the descriptor is readable
    wantWrite,  // repeat the call once the descriptor is writable
    ended,      // read: the other end sends no more. sendFile: the file has no byte there
    failed,     // `error` says why; the stream cannot be used again
  };
  State state = State::done;
  int error = 0;  // errno
  std::size_t bytes = 0;
};

// The system's words for an errno.
std::string reasonText(int errnoValue);

// A write to the socket takes nothing more while so many bytes wait in the system's buffer until
// they may be sent; 0: no such bound. The system enlarges that buffer to some megabytes, also for
// an end that reads nothing. What is on its way does not count, so a fast stream stays fast. What a
// listening socket accepts has its bound.
void boundUnsent(int socket, std::size_t bytes);

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  IoResult read(std::span<std::byte> out);
  // With `moreFollows` the last packet may wait for what is written next.
  virtual IoResult write(std::string_view bytes, bool moreFollows = false) = 0;
  // At most `bytes` of a file, from `offset` on.
  virtual IoResult sendFile(int file, std::uint64_t offset, std::size_t bytes) = 0;
  // Tells the other end that nothing more is written; `done` with no bytes. Reading goes on.
  virtual IoResult endWriting() = 0;

  void unread(std::string_view bytes);
  std::size_t pending() const { return (unread_ ? unread_->size() : 0) + buffered(); }

  // For poll(2) or epoll.
  virtual int descriptor() const = 0;
  // See boundUnsent() above.
  void boundUnsent(std::size_t bytes) const { net::boundUnsent(descriptor(), bytes); }
  // Both ends see the end of the stream from now on. Any thread, while the stream exists.
  void cut() const;
  Address local() const;
  Address remote() const;

 protected:
  ByteStream() = default;

 private:
  virtual IoResult readMore(std::span<std::byte> out) = 0;
  // Bytes that the stream has decoded and not returned yet.
  virtual std::size_t buffered() const { return 0; }

  std::unique_ptr<std::string> unread_;  // none: nothing is
};

// A connected stream socket: TCP, or a pair of Unix sockets in tests. Made by Listener and
// Dialling.
class TcpStream final : public ByteStream {
 public:
  // `socket` does not block.
  explicit TcpStream(Poco::Net::StreamSocket socket);
  // Takes over a connected socket, which may be blocking or non-blocking.
  static std::unique_ptr<TcpStream> adopt(FileDescriptor socket);
  ~TcpStream() override;

  IoResult write(std::string_view bytes, bool moreFollows = false) override;
  IoResult sendFile(int file, std::uint64_t offset, std::size_t bytes) override;
  IoResult endWriting() override;
  int descriptor() const override { return descriptor_; }

 private:
  IoResult readMore(std::span<std::byte> out) override;

  Poco::Net::StreamSocket socket_;
  const int descriptor_;
};

}  // namespace espalier::net
