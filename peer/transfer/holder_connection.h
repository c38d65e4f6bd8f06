// The asking end of a transfer connection: dials a holder, sends requests ahead, reads answers and
// the raw bytes behind them. Blocks its thread; an Interrupter wakes it.
//
//   HolderConnection holder(endpoint, timeouts, interrupter);
//   holder.queue(wire::ChunkRequest{…});
//   if (auto opened = holder.open(); !opened) …        // the queued requests travel with the Hello
//   auto answer = holder.receive();
//
// One thread uses it. After an error it is of no further use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/net/blocking_stream.h"
#include "common/wire/frame.h"
#include "common/wire/hello.h"
#include "common/wire/transfer.h"
#include "peer/transfer/rate_limit.h"

namespace espalier::transfer {

struct Timeouts {
  Duration dial = limits::kDialTimeout;
  Duration silence = limits::kTransferSilence;  // no byte came
};

class HolderConnection {
 public:
  HolderConnection(Endpoint endpoint, Timeouts timeouts, net::Interrupter& interrupter,
                   wire::Purpose purpose = wire::Purpose::transfer);
  HolderConnection(const HolderConnection&) = delete;
  HolderConnection& operator=(const HolderConnection&) = delete;

  void close() { stream_.reset(); }
  // While it is open; cut() may be called by other threads.
  const net::BlockingStream& stream() const { return *stream_; }
  // Reads so much at once: for answers that are small and many.
  void readAhead(std::size_t bytes) { readAhead_ = bytes; }
  // Where the raw bytes of chunks come slowly, so much time's worth of them is read at once.
  void gather(Duration time) { gathering_ = time; }
  // How fast the raw bytes of chunks are received; outlives the connection.
  void limit(RateLimit* rate) { rate_ = rate; }
  // Told the place in the holder's queue, by the thread that receives; 0: it is over.
  void onWaiting(std::function<void(std::uint32_t position)> told) { waiting_ = std::move(told); }
  void queue(const wire::TransferRequest& request);
  Result<void> open();
  // Sends what is queued.
  Result<void> flush();
  // The next answer. Waiting in the holder's queue is not an answer: it goes on, for `patience` at
  // most.
  Result<wire::TransferAnswer> receive(Duration patience = Duration::max());
  // After a chunk that did not match: whether the holder says, within that time, that the file
  // changed while it was read. It says so at once, if it knows.
  bool saysChanged(Duration within);
  // Nothing more is asked; what still comes is dropped until the holder closes the connection, for
  // that long at most. Closed at once, the connection could be reset before the holder has read
  // what was sent last.
  void drain(Duration within);
  // The raw bytes behind the ChunkHeader that was just received.
  Result<void> receiveBytes(std::span<std::byte> out);

 private:
  Result<std::string_view> receiveFrame();

  Endpoint endpoint_;
  Timeouts timeouts_;
  net::Interrupter& interrupter_;
  Duration gathering_{};
  RateLimit* rate_ = nullptr;
  std::function<void(std::uint32_t)> waiting_;
  std::uint32_t position_ = 0;
  std::optional<net::BlockingStream> stream_;
  std::string out_;
  std::string in_;  // read and not used yet, from used_ on
  std::size_t used_ = 0;
  // What of a chunk comes along is copied once more, so this is small against a chunk.
  std::size_t readAhead_ = 4096;
};

struct Holder {
  PeerId id;
  Endpoint endpoint;
  bool partial = false;  // it fetches the file itself and gives on what it has
};

struct SharedList {
  std::vector<wire::FileEntry> files;
  // So many at least are there beyond those.
  std::uint64_t more = 0;
  bool indexing = false;  // the holder has not read all of its share yet
};

// All that a peer shares, or what of it has a name that begins with `prefix`, page after page, at
// most limits::kListFiles. Names are as the peer has them. Blocks.
Result<SharedList> listShared(const Holder& holder, Timeouts timeouts,
                              net::Interrupter& interrupter, std::string_view prefix = {});

}  // namespace espalier::transfer
