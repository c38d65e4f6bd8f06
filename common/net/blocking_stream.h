// A ByteStream for a thread that may block, as the threads of transfers and pushes do
// (peer/transfer). Each call returns when it is done, or with an error:
//
//   io           the connection failed or ended
//   timeout      the other end sent, or took, no byte for `silence`
//   interrupted  the Interrupter was called
//
// After an error of write() or sendFile() half a message may have been sent, so the stream cannot
// be used for another one.
//
// One thread at a time uses it; cut() may be called from any thread. sendFile() raises SIGPIPE if
// the other end has closed, so its thread holds a QuietSignals (common/base/signals.h). Waiting
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
  // Whether read() has something to return (bytes, the end, an error) within that time.
  bool awaitReadable(Duration within) const;

  Result<void> write(std::string_view bytes, bool moreFollows = false);
  // How many bytes could not be sent, because the file has become shorter.
  Result<std::uint64_t> sendFile(int file, std::uint64_t offset, std::uint64_t bytes);
  // Whether write() would take a byte at once.
  bool isWritable() const;
  // All of it at once, or false: then a part of it may have been sent. Never waits.
  bool tryWrite(std::string_view bytes);
  // Errors are ignored.
  void endWriting();

  void cut() const { stream_->cut(); }
  Address remote() const { return stream_->remote(); }

 private:
  template <typename Call>
  Result<IoResult> repeat(Call call);
  Result<void> await(IoResult::State wanted);

  std::unique_ptr<ByteStream> stream_;
  const Duration silence_;
  const Interrupter& interrupter_;
};

// Looks the host up and connects to the first of its addresses that answers. The look-up takes at
// most `timeout`. So does connecting, in which each address gets a part of that time.
Result<std::unique_ptr<ByteStream>> dialBlocking(const Endpoint& to, Duration timeout,
                                                 const Interrupter& interrupter,
                                                 Resolver& resolver = Resolver::ofSystem());

}  // namespace espalier::net
