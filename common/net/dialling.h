// Where a connection that is being dialled has got to: which of the addresses of its host were
// tried, and why each of them failed. A value of its connection; does not wait for anything.
#pragma once

#include <Poco/Net/StreamSocket.h>

#include <cstddef>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/net/resolver.h"

namespace espalier::net {

struct Dialling {
  struct Begun {
    Poco::Net::StreamSocket socket;
    int error = 0;  // errno where it failed at once; the socket is there all the same
  };

  Target to;
  Duration patience{};           // for each address
  std::vector<std::string> why;  // of the addresses that failed, in their order

  bool isOver() const { return why.size() == to.addresses.size(); }
  const Address& address() const { return to.addresses[why.size()]; }
  // A socket that connects to address(); an address of a kind that this machine has no sockets for
  // is passed over, unless it is the last.
  Result<Begun> begin();
  void failed(std::string reason) { why.push_back(std::move(reason)); }
  std::string silence() const;
  std::string failure() const { return connectFailure(to, why); }
};

}  // namespace espalier::net
