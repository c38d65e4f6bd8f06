// The endpoint at which a process listens: an IPv4 or IPv6 address, or a host name that the shell
// resolves, and a TCP port. Values and pure functions.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace espalier {

// A host is an IPv4 address (four decimal numbers), an IPv6 address, or a DNS name of RFC 1123
// (letters, digits, hyphens, dots; the last part is not a number). At most limits::kHostBytes. No
// brackets, and a colon only in an IPv6 address, so that Endpoint::parse() reads back what
// Endpoint::text() writes.
bool isHost(std::string_view text);
// The same, or the address of a link of this machine, "fe80::1%eth0", which a user may name. A
// scope has no meaning on other machines, so it is never received or sent.
bool isLocalHost(std::string_view text);
std::string withoutScope(std::string_view host);
// Whether the host, which isHost() accepts, stands for one machine: no multicast address, and not
// the address of none ("0.0.0.0", "::"), which Linux takes for this machine.
bool isUnicast(std::string_view host);

struct Endpoint {
  std::string host;
  std::uint16_t port = 0;  // 0: any free one, or not known

  auto operator<=>(const Endpoint&) const = default;
  bool empty() const { return host.empty() && port == 0; }

  // "127.0.0.1:5000", "[::1]:5000"
  std::string text() const;

  // HOST:PORT, [V6]:PORT, or HOST alone where `defaultPort` is not 0; HOST as isLocalHost(). Errors
  // have the code `usage`.
  static Result<Endpoint> parse(std::string_view text, std::uint16_t defaultPort = 0);
};

}  // namespace espalier
