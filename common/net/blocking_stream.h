// A ByteStream for a thread that may block, as the threads of transfers and pushes do
// (peer/transfer). Each call returns when it is done, or with an error:
//
//   io           the connection failed or ended
//   timeout      the other end sent, or took, no byte for `silence`; or it sent less than atLeast()
//   interrupted  the Interrupter was called
//
// After an error of write() half a message may have been sent, so the stream cannot be used for
// another one.
//
// One thread at a time uses it; cut() may be called from any thread. sendFileSome() raises SIGPIPE
// if the other end has closed, so its thread holds a QuietSignals (common/base/signals.h). Waiting
// costs one poll(2). No call waits while bytes are available, except readAll() with `gathering`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/result.h"
#include "common/net/byte_stream.h"
#include "common/net/interrupter.h"
#include "common/net/resolver.h"

namespace espalier::net {

class BlockingStream {
 public:
  // `interrupter` outlives this.
  BlockingStream(std::unique_ptr<ByteStream> stream, Duration silence,
                 const Interrupter& interrupter);

  // Reads what is available, at least a byte.
  Result<std::size_t> read(std::span<std::byte> out);
  // Fills `out`. With `gathering` it sleeps for that time whenever less than kGatherBytes is
  // available. Fewer, larger reads make the kernel send fewer acknowledgements.
  static constexpr std::size_t kGatherBytes = 64 * 1024;
  Result<void> readAll(std::span<std::byte> out, Duration gathering = {});
  // From now on reads fail once they have waited for `window` in all, and less came meanwhile. Only
  // the time in which nothing was available counts.
  void atLeast(std::uint64_t bytesPerSecond, Duration window);
  // What was measured so far counts no more.
  void measureAgain();
  // In all. Any thread.
  std::uint64_t receivedBytes() const;
  // So many bytes count as received, for an answer that is useful though it is short.
  void credit(std::uint64_t bytes) { came_ += bytes; }
  // Whether read() has something to return (bytes, the end, an error) within that time.
  bool awaitReadable(Duration within) const;

  Result<void> write(std::string_view bytes, bool moreFollows = false);

  // --- for a thread that does other work meanwhile
  // Moves what it can, waiting for the first byte `within` at most. If none was moved, the state
  // says what to wait for; `ended`: the other end sends no more, or the file has become shorter.
  Result<IoResult> readSome(std::span<std::byte> out, Duration within);
  Result<IoResult> writeSome(std::string_view bytes, Duration within, bool moreFollows = false);
  Result<IoResult> sendFileSome(int file, std::uint64_t offset, std::uint64_t bytes,
                                Duration within);
  // Whether write() would take a byte at once.
  bool isWritable() const;
  // All of it at once, or false: then a part of it may have been sent. Never waits.
  bool tryWrite(std::string_view bytes);
  // Errors are ignored.
  void endWriting();

  // For poll(2) or epoll.
  int descriptor() const { return stream_->descriptor(); }
  void cut() const { stream_->cut(); }
  Address remote() const { return stream_->remote(); }

 private:
  template <typename Call>
  Result<IoResult> attempt(Call call, Duration within) const;
  template <typename Call>
  Result<IoResult> repeat(Call call) const;
  Result<void> judgeRate(Duration waited, std::size_t bytes);

  std::unique_ptr<ByteStream> stream_;
  const Duration silence_;
  const Interrupter& interrupter_;
  mutable std::uint64_t received_ = 0;  // atomic: std::atomic_ref
  std::uint64_t leastRate_ = 0;         // 0: any
  Duration window_{};
  Duration waited_{};  // in this window
  std::uint64_t came_ = 0;
};

// Looks the host up and connects to the first of its addresses that answers. The look-up takes at
// most `timeout`. So does connecting, in which each address gets a part of that time.
Result<std::unique_ptr<ByteStream>> dialBlocking(const Endpoint& to, Duration timeout,
                                                 const Interrupter& interrupter,
                                                 Resolver& resolver = Resolver::ofSystem());

}  // namespace espalier::net
