// An IPv4 or IPv6 address and a port, in 24 bytes. An IPv4 address that is mapped into IPv6 becomes
// the IPv4 address. A link-local address has its interface ("fe80::1%eth0"). A value without I/O;
// the default is the address of a local (Unix) socket. Used by everything that dials or listens.
//
// Also two functions for the process's limit on open descriptors, which main() calls.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>

#include "common/base/endpoint.h"
#include "common/base/result.h"

namespace espalier::net {

class Address {
 public:
  Address() = default;
  static Address fromNative(const sockaddr_storage& native);
  // The host must be an IP literal; otherwise an error of code `usage`. Names are looked up by
  // resolver.h, because that may block for seconds.
  static Result<Address> fromEndpoint(const Endpoint& endpoint);

  bool operator==(const Address&) const = default;
  bool isV6() const { return family_ == AF_INET6; }
  std::uint16_t port() const { return port_; }
  Address withPort(std::uint16_t port) const {
    Address other = *this;
    other.port_ = port;
    return other;
  }
  // Fills `native`; returns its length.
  socklen_t toNative(sockaddr_storage& native) const;
  // fe80::/10: such an address is valid only together with an interface.
  bool isLinkLocal() const {
    return family_ == AF_INET6 && bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
  }
  std::uint32_t interfaceNumber() const { return scope_; }  // 0: none is given
  Address onInterface(std::uint32_t number) const {
    Address other = *this;
    other.scope_ = number;
    return other;
  }
  // The same address, whatever the port and the interface.
  bool sameHost(const Address& other) const {
    return family_ == other.family_ && bytes_ == other.bytes_;
  }
  Endpoint endpoint() const;  // the host is empty for a local socket
  std::string text() const;   // "127.0.0.1:5000", "[::1]:5000", "a local socket"

 private:
  std::array<std::uint8_t, 16> bytes_{};
  std::uint32_t scope_ = 0;  // the number of the interface of a link-local address
  std::uint16_t port_ = 0;
  std::uint16_t family_ = 0;
};

// Raises the soft limit on open files to the hard one, and returns it. Each connection takes one
// descriptor.
Result<std::uint64_t> raiseDescriptorLimit();

// Makes the kernel's table of this process's descriptors large enough for `count` of them (8 bytes
// each), or for as many as are allowed. Call it while there is one thread: with several, each
// doubling of the table blocks accept(2) for an RCU grace period of 10 to 20 ms.
void reserveDescriptors(std::uint64_t count);

}  // namespace espalier::net
