#include "common/base/endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier {
namespace {

// Not those of <cctype>: they ask the locale.
bool isDigit(char c) {
  return c >= '0' && c <= '9';
}
bool isLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool isHexDigit(char c) {
  return isDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// The text up to the next `separator`, which is removed from `text`, too. Nothing is left after the
// last part, and after one that ends with a separator: the caller checks how the text ends.
std::string_view take(std::string_view& text, char separator) {
  const auto end = text.find(separator);
  const auto part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return part;
}

bool isIpv4(std::string_view text) {
  if (std::ranges::count(text, '.') != 3 || text.ends_with('.')) return false;
  while (!text.empty()) {
    const auto part = take(text, '.');
    const bool leadingZero = part.size() > 1 && part.front() == '0';
    if (part.empty() || part.size() > 3 || leadingZero) return false;
    if (!std::ranges::all_of(part, isDigit)) return false;
    if (part.size() == 3 && part > "255") return false;
  }
  return true;
}

// The number of 16-bit groups, an IPv4 address at the end counted as two; none if it is malformed.
std::optional<std::size_t> groupsIn(std::string_view text, bool mayEndInIpv4) {
  std::size_t groups = 0;
  if (text.ends_with(':')) return std::nullopt;
  while (!text.empty()) {
    const auto part = take(text, ':');
    if (text.empty() && mayEndInIpv4 && isIpv4(part)) return groups + 2;
    if (part.empty() || part.size() > 4 || !std::ranges::all_of(part, isHexDigit)) {
      return std::nullopt;
    }
    ++groups;
  }
  return groups;
}

bool isIpv6(std::string_view text) {
  const auto gap = text.find("::");
  if (gap == std::string_view::npos) return groupsIn(text, true) == 8;
  const auto before = groupsIn(text.substr(0, gap), false);
  const auto behind = groupsIn(text.substr(gap + 2), true);
  return before && behind && *before + *behind <= 7;
}

bool isDnsName(std::string_view text) {
  if (text.empty() || text.size() > limits::kHostBytes) return false;
  if (text.ends_with('.')) text.remove_suffix(1);  // an absolute name
  if (text.empty() || text.ends_with('.')) return false;
  std::string_view label;
  while (!text.empty()) {
    label = take(text, '.');
    if (label.empty() || label.size() > limits::kHostLabelBytes) return false;
    if (label.front() == '-' || label.back() == '-') return false;
    const auto allowed = [](char c) { return isDigit(c) || isLetter(c) || c == '-'; };
    if (!std::ranges::all_of(label, allowed)) return false;
  }
  // Resolvers read "127.1", "2130706433" and "0x7f.1" as IPv4 addresses.
  const bool hex = label.starts_with("0x") || label.starts_with("0X");
  return !std::ranges::all_of(label, isDigit) &&
         !(hex && std::ranges::all_of(label.substr(2), isHexDigit));
}

}  // namespace

bool isHost(std::string_view text) {
  return isIpv4(text) || isIpv6(text) || isDnsName(text);
}

bool isLocalHost(std::string_view text) {
  const auto percent = text.find('%');
  if (percent == std::string_view::npos) return isHost(text);
  const auto scope = text.substr(percent + 1);
  const auto allowed = [](char c) {
    return isDigit(c) || isLetter(c) || c == '-' || c == '_' || c == '.';
  };
  return isIpv6(text.substr(0, percent)) && !scope.empty() && scope.size() <= limits::kScopeBytes &&
         std::ranges::all_of(scope, allowed);
}

std::string withoutScope(std::string_view host) {
  return std::string(host.substr(0, host.find('%')));
}

bool isUnicast(std::string_view host) {
  if (isIpv4(host)) {
    const auto first = host.substr(0, host.find('.'));
    return first != "0" && !(first.size() == 3 && first >= "224");
  }
  if (!isIpv6(host)) return true;  // a name: its addresses are not known yet
  const auto last = host.substr(host.rfind(':') + 1);
  if (isIpv4(last)) return isUnicast(last);
  const auto first = host.substr(0, host.find(':'));
  const bool isMulticast = first.size() == 4 && (first[0] == 'f' || first[0] == 'F') &&
                           (first[1] == 'f' || first[1] == 'F');
  return !isMulticast && host.find_first_not_of("0:") != std::string_view::npos;
}

std::string Endpoint::text() const {
  const bool isBracketed = host.find(':') != std::string::npos;
  return (isBracketed ? "[" + host + "]:" : host + ":") + std::to_string(port);
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
  if (!isLocalHost(host)) return refuse("the host is neither an IP address nor a DNS name");
  if (text.starts_with('[') && host.find(':') == std::string_view::npos) {
    return refuse("only an IPv6 address stands in brackets");
  }
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
