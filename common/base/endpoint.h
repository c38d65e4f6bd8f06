// Where a process listens: an IPv4 or IPv6 address, or a host name that the shell resolves, and a
// TCP port.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace espalier {

// What a host may be: an IPv4 address (four decimal numbers), an IPv6 address, or a DNS name as RFC
// 1123 has it: letters, digits, hyphens and dots, of at most limits::kHostBytes, whose last part is
// no number. No brackets, and a colon only in an IPv6 address: what Endpoint::text() writes,
// Endpoint::parse() reads back.
bool isHost(std::string_view text);
// What a user may name beside that: the address of an own link, "fe80::1%eth0". Its scope means
// nothing to others, so it never comes from or goes to the network.
bool isLocalHost(std::string_view text);
std::string withoutScope(std::string_view host);

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
