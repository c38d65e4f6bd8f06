// Where a process listens: an IPv4 or IPv6 address, or a host name that the shell resolves, and a
// TCP port.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace espalier {

struct Endpoint {
  std::string host;
  std::uint16_t port = 0;  // 0: any free one, or not known

  auto operator<=>(const Endpoint&) const = default;
  bool empty() const { return host.empty() && port == 0; }

  // "127.0.0.1:5000", "[::1]:5000"
  std::string text() const;

  // HOST:PORT, [V6]:PORT, or HOST alone where `defaultPort` is not 0. Errors have the code `usage`.
  static Result<Endpoint> parse(std::string_view text, std::uint16_t defaultPort = 0);
};

}  // namespace espalier
