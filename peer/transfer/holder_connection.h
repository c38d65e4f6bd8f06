// One connection to a holder, at the asking end: dials, says Hello, sends requests, and reads
// answers and the raw bytes behind them. ChunkClient checks that answers fit what was asked.
//
//   HolderConnection holder(endpoint, timeouts, interrupter);
//   holder.queue(wire::ChunkRequest{…});
//   if (auto opened = holder.open(); !opened) …        // the queued requests travel with the Hello
//   auto answer = holder.receive();
//
// Used by ChunkClient, and directly for lists of files (shared_list.h) and of sizes
// (size_claims.h). One thread uses it. Blocks; an Interrupter wakes it. After an error it is of no
// further use.
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
#include "peer/core/holder.h"
#include "peer/transfer/rate_limit.h"

namespace espalier::transfer {

using peer::Holder;

struct Timeouts {
  Duration dial = limits::kDialTimeout;
  Duration silence = limits::kTransferSilence;  // no byte came
  Duration waiting = limits::kWaitingPatience;  // signs of life in place of an answer
  // Of what is waited for, by the time spent waiting; see BlockingStream::atLeast().
  std::uint64_t rateLeast = limits::kFetchRateLeast;
  Duration rateWindow = limits::kFetchRateWindow;
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
  // Reads so many bytes at once: for many small answers.
  void readAhead(std::size_t bytes) { readAhead_ = bytes; }
  // Reads the raw bytes of chunks in intervals of at least that time, where they arrive slowly.
  void gather(Duration time) { gathering_ = time; }
  // The rate of receiving the raw bytes of chunks. It outlives the connection.
  void limit(RateLimit* rate) { rate_ = rate; }
  // Called by the thread that receives, with the place in the holder's queue; 0: it is over.
  void onWaiting(std::function<void(std::uint32_t position)> told) { waiting_ = std::move(told); }
  void queue(const wire::TransferRequest& request);
  Result<void> open();
  // open() failed because the holder has no place for this peer now.
  bool isBusy() const { return isBusy_; }
  // Sends what is queued.
  Result<void> flush();
  // The next answer. A sign of life (Waiting) is none: then it waits on, for `patience` at most,
  // and of a transfer for Timeouts::waiting.
  Result<wire::TransferAnswer> receive(Duration patience = Duration::max());
  // After a chunk that did not match its hash: whether the holder says, within that time, that the
  // file changed while it was read. It says so at once, if it knows.
  bool saysChanged(Duration within);
  // Asks for nothing more, and drops what still comes until the holder closes the connection, for
  // that long at most. A connection that is closed at once could be reset before the holder has
  // read what was sent last.
  void drain(Duration within);
  // The raw bytes behind the ChunkHeader that was just received.
  Result<void> receiveBytes(std::span<std::byte> out);

 private:
  Result<std::string_view> receiveFrame();

  Endpoint endpoint_;
  Timeouts timeouts_;
  net::Interrupter& interrupter_;
  const bool isPush_;  // then the caller says how long it waits for an answer
  Duration gathering_{};
  RateLimit* rate_ = nullptr;
  std::function<void(std::uint32_t)> waiting_;
  std::uint32_t position_ = 0;
  bool isBusy_ = false;
  std::optional<net::BlockingStream> stream_;
  std::string out_;
  std::string in_;  // read, and from used_ on not used yet
  std::size_t used_ = 0;
  // Small against a chunk, because the part of a chunk that is read with a frame is copied again.
  std::size_t readAhead_ = 4096;
};

}  // namespace espalier::transfer
