// Who causes a cost that a budget counts (budget.h): an address, a member, or whom this process
// dials. Plain values, thread-compatible, no I/O.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "common/base/endpoint.h"
#include "common/base/ids.h"

namespace espalier {

// Who causes a cost. A value.
class Payer {
 public:
  // The process itself: only its own bounds count.
  Payer() = default;
  // An address is an IPv4 address or the first 64 bits of an IPv6 address, because one subscriber
  // has as many as it likes with the same 64. Any other host is a payer under its name.
  static Payer host(std::string_view host);
  static Payer member(const PeerId& id);
  // Another metaserver of the cluster.
  static Payer server(const ServerName& name);
  // Whom this process dials because others named it: one port of a machine, or the machine. Here
  // each IPv6 address counts for itself, because the peers of one local network share 64 bits.
  static Payer endpoint(const Endpoint& endpoint);
  static Payer machine(std::string_view host);

  bool isProcess() const { return key_.empty(); }
  bool isLoopback() const { return !key_.empty() && key_[0] >= 'A' && key_[0] <= 'Z'; }
  // "10.0.0.1", "2001:db8:0:1::/64", "s1", "10.0.0.1:5001"; for the log, escaped by the caller.
  std::string text() const;

  std::strong_ordering operator<=>(const Payer& other) const { return key_ <=> other.key_; }
  bool operator==(const Payer& other) const { return key_ == other.key_; }

 private:
  // "h", "m", "s", "e" or "t", of loopback the capital letter, and the text.
  std::string key_;
};

}  // namespace espalier
