#include "common/base/endpoint.h"

#include <fmt/format.h>

#include <charconv>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier {

std::string Endpoint::text() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

Result<Endpoint> Endpoint::parse(std::string_view text, std::uint16_t defaultPort) {
  const auto refuse = [&](std::string_view why) {
    return Error{ErrorCode::usage, fmt::format("\"{}\" is no HOST:PORT: {}", escaped(text), why)};
  };
  Endpoint endpoint;
  endpoint.port = defaultPort;
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return refuse("a ']' is missing");
    host = text.substr(1, end - 1);
    const auto rest = text.substr(end + 1);
    if (!rest.empty() && rest.front() != ':') return refuse("after the ']' comes ':'");
    if (!rest.empty()) port = rest.substr(1);
    if (!rest.empty() && port.empty()) return refuse("the port is missing");
  } else if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    if (text.find(':', colon + 1) != std::string_view::npos) {
      return refuse("an IPv6 address stands in brackets");
    }
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return refuse("the port is missing");
  }
  if (host.empty()) return refuse("the host is missing");
  if (host.size() > limits::kHostBytes) return refuse("the host is too long");
  if (hasSpaceOrControl(host)) return refuse("the host has a space or a control character");
  if (port.empty() && defaultPort == 0) return refuse("the port is missing");
  if (!port.empty()) {
    const auto [end, error] =
        std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
    if (error != std::errc() || end != port.data() + port.size()) {
      return refuse("a port is a number from 0 to 65535");
    }
  }
  endpoint.host = host;
  return endpoint;
}

}  // namespace espalier
