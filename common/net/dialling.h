// The progress of dialling one host: which of its addresses were tried, and why each of them
// failed. Does not wait: its users EventLoop and dialBlocking() wait between begin() and outcome().
//
//   while (!dialling.isOver()) {
//     begin() -> a stream that connects; wait until it is writable, for patience() at most
//     outcome() == 0: connected.  Else: failed(reason), and on to the next address
//   }
//   failure(): the sentence that names every address and its reason
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/net/byte_stream.h"
#include "common/net/resolver.h"

namespace espalier::net {

class Dialling {
 public:
  struct Begun {
    std::unique_ptr<TcpStream> stream;
    int error = 0;  // errno where it failed at once; the stream is there all the same
  };

  // Each address has its part of `timeout`.
  Dialling(Target to, Duration timeout);

  bool isOver() const { return why_.size() == to_.addresses.size(); }
  // The address whose turn it is.
  const Address& address() const { return to_.addresses[why_.size()]; }
  Duration patience() const { return patience_; }  // for each address
  // A stream that connects to address(). Skips addresses of a kind for which this machine has no
  // sockets, except the last address.
  Result<Begun> begin();
  // Whether a stream of begin() that has become writable is connected to address(): 0, or errno.
  int outcome(const ByteStream& stream) const;
  void failed(std::string reason) { why_.push_back(std::move(reason)); }
  std::string failure() const { return connectFailure(to_, why_); }

 private:
  Target to_;
  Duration patience_;
  std::vector<std::string> why_;  // of the addresses that failed, in their order
};

}  // namespace espalier::net
