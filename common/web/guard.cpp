#include "common/web/guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::web {
namespace {

std::string lower(std::string_view text) {
  std::string small(text);
  for (char& letter : small) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return small;
}

bool isDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// The name in a Host field, without its port; nothing: it has not that form.
std::optional<std::string> nameOf(std::string_view host) {
  if (host.empty()) return std::nullopt;
  std::size_t end = 0;
  if (host[0] == '[') {
    end = host.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    ++end;
  } else {
    end = std::min(host.find(':'), host.size());
  }
  const auto rest = host.substr(end);
  if (!rest.empty() && (rest[0] != ':' || !isDigits(rest.substr(1)))) return std::nullopt;
  return lower(host.substr(0, end));
}

// 127.0.0.1, and nothing that only looks so: "127.0.0.1.example.org" is a name.
bool isLoopbackV4(std::string_view text) {
  int parts = 0;
  bool isFirst127 = false;
  while (parts < 4) {
    const auto dot = std::min(text.find('.'), text.size());
    const auto part = text.substr(0, dot);
    unsigned number = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (!isDigits(part) || error != std::errc() || end != part.data() + part.size()) return false;
    if (number > 255 || (part.size() > 1 && part[0] == '0')) return false;
    if (parts == 0) isFirst127 = number == 127;
    ++parts;
    if (dot == text.size()) return parts == 4 && isFirst127;
    text.remove_prefix(dot + 1);
  }
  return false;
}

std::optional<Refusal> checkHost(const Asked& asked, std::string_view name) {
  const auto host = nameOf(asked.host);
  if (host && (isLoopback(*host) || (!name.empty() && *host == lower(name)))) return std::nullopt;
  return Refusal{421, fmt::format("this page is not {}: start the program with --web-host NAME if "
                                  "a proxy has it under that name",
                                  asked.host.empty() ? "without a Host" : escaped(asked.host))};
}

// The origin is that of the page: the scheme is the proxy's to choose.
bool isOwnOrigin(const Asked& asked) {
  const std::string origin = lower(asked.origin);
  const std::string host = lower(asked.host);
  return origin == "http://" + host || origin == "https://" + host;
}

std::optional<Refusal> checkSite(Place place, const Asked& asked) {
  if (!asked.origin.empty() && !isOwnOrigin(asked)) {
    return Refusal{403, "another page may not use this one: its Origin is foreign"};
  }
  const std::string& site = asked.fetchSite;
  if (site.empty() || site == "same-origin") return std::nullopt;
  // "none": the user typed the address. A link of another page may open ours, and nothing else.
  const bool isOpened = place == Place::page && asked.fetchMode == "navigate";
  if (site == "none" && place == Place::page) return std::nullopt;
  if (isOpened) return std::nullopt;
  return Refusal{403, "another page may not use this one: its Sec-Fetch-Site is foreign"};
}

bool isJson(std::string_view type) {
  const auto end = type.find(';');
  std::string name = lower(type.substr(0, end));
  while (!name.empty() && name.back() == ' ') name.pop_back();
  return name == "application/json";
}

}  // namespace

bool isLoopback(std::string_view host) {
  return host == "localhost" || host == "[::1]" || host == "::1" || isLoopbackV4(host);
}

std::optional<Refusal> check(Place place, const Asked& asked, std::string_view name) {
  if (auto foreign = checkHost(asked, name)) return foreign;
  if (place == Place::probe) return std::nullopt;
  if (auto foreign = checkSite(place, asked)) return foreign;
  if (asked.method == "POST" && !isJson(asked.contentType)) {
    return Refusal{415, "a POST here is application/json"};
  }
  return std::nullopt;
}

Result<std::optional<Endpoint>> parseWebAddress(std::string_view text, std::uint16_t byDefault) {
  if (text == "no" || text == "off" || text == "false") return std::optional<Endpoint>();
  if (text == "yes" || text == "on" || text == "true") {
    return std::optional(Endpoint{"127.0.0.1", byDefault});
  }
  const auto colon = text.rfind(':');
  const auto digits = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  unsigned port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  const bool isPort = isDigits(digits) && error == std::errc() && port <= 65535;
  if (!isPort || end != digits.data() + digits.size() || colon == 0) {
    return Error{ErrorCode::usage,
                 fmt::format("\"{}\" is no HOST:PORT; port 0 is any free one", escaped(text))};
  }
  std::string host = lower(text.substr(0, colon));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (!isLoopback(host)) {
    return Error{
        ErrorCode::configuration,
        fmt::format("{} is not an address of this machine's loopback, and the page listens "
                    "nowhere else; from afar: ssh -L, or a TLS proxy and --web-host NAME",
                    escaped(host))};
  }
  if (host == "localhost") host = "127.0.0.1";
  return std::optional(Endpoint{host, static_cast<std::uint16_t>(port)});
}

Result<std::string> parseWebHost(std::string_view text) {
  const bool isName = text.find_first_not_of(
                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                          "0123456789.-_") == std::string_view::npos;
  if (text.empty() || !isName || text.size() > limits::kWebNameBytes) {
    return Error{ErrorCode::usage,
                 fmt::format("\"{}\" is no name of a host (without a port)", escaped(text))};
  }
  return std::string(text);
}

}  // namespace espalier::web
