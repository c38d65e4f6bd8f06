// Blocking sockets with time-outs, as the threads of a transfer use them, and a way to wake them.
//
// Errors have the code `io` for a connection that failed or ended, `timeout` for one that was
// silent for too long. No call raises SIGPIPE as long as the thread has a QuietSignals.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/file_descriptor.h"
#include "common/base/guarded.h"
#include "common/base/result.h"
#include "common/net/resolver.h"
#include "peer/transfer/rate_limit.h"

namespace espalier::transfer {

// Wakes every thread that blocks on one of its sockets, now and from now on: they see the end of
// the connection. Thread-safe. A socket is removed before it is closed.
class Interrupter {
 public:
  Interrupter();
  void add(int socket);
  void remove(int socket);
  void interrupt();
  bool interrupted() const;
  std::stop_token token() const { return stop_.get_token(); }
  // Readable once interrupted: for poll(2).
  int descriptor() const { return event_.get(); }

 private:
  struct State {
    bool interrupted = false;
    std::set<int> sockets;
  };
  FileDescriptor event_;
  std::stop_source stop_;
  Guarded<State> state_;
};

// Keeps SIGPIPE (sendfile(2) has no MSG_NOSIGNAL) and SIGXFSZ from the thread that made it.
class QuietSignals {
 public:
  QuietSignals();
};

// Looks the host up and connects, each within `timeout`, to the first of its addresses that
// answers. The socket is in `interrupter` when it is returned.
Result<FileDescriptor> dial(const Endpoint& endpoint, Duration timeout, Interrupter& interrupter,
                            net::Resolver& resolver = net::Resolver::ofSystem());

// The host at the other end, as text; empty when that cannot be told.
std::string remoteAddress(int socket);

// Blocking, with `silence` as the time-out of both directions.
void makeBlocking(int socket, Duration silence);

Result<void> sendAll(int socket, std::string_view data, bool moreFollows = false);
// sendfile(2). How many bytes could not be sent, because the file has become shorter.
Result<std::uint64_t> sendFile(int socket, int file, std::uint64_t offset, std::uint64_t bytes,
                               const Pace& pace);
// Fills `out`. The time-out counts from the last byte. With `gathering` it rests for so long
// where less than kGatherBytes is there: the kernel acknowledges what is read at once with one
// packet, and what is read as it comes with one for every two packets.
inline constexpr std::size_t kGatherBytes = 64 * 1024;
Result<void> receiveAll(int socket, std::span<std::byte> out, const Pace& pace = {},
                        Duration gathering = {});
// What is there, at least a byte.
Result<std::size_t> receiveSome(int socket, std::span<std::byte> out);

}  // namespace espalier::transfer
