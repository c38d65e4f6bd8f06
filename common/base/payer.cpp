#include "common/base/payer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>

namespace espalier {
namespace {

using Groups = std::array<std::uint16_t, 8>;

// Appends the groups of `text`, a part of an IPv6 address without "::", from `at` on; returns where
// they end.
std::size_t readGroups(std::string_view text, Groups& groups, std::size_t at) {
  while (!text.empty() && at < groups.size()) {
    const auto part = text.substr(0, text.find(':'));
    if (part.find('.') != std::string_view::npos) {  // an IPv4 address at the end
      std::uint32_t address = 0;
      for (auto rest = part; !rest.empty();) {
        const auto byte = rest.substr(0, rest.find('.'));
        unsigned value = 0;
        std::from_chars(byte.data(), byte.data() + byte.size(), value);
        address = address << 8 | value;
        rest.remove_prefix(std::min(rest.size(), byte.size() + 1));
      }
      groups[at++] = static_cast<std::uint16_t>(address >> 16);
      if (at < groups.size()) groups[at++] = static_cast<std::uint16_t>(address);
    } else {
      std::from_chars(part.data(), part.data() + part.size(), groups[at++], 16);
    }
    text.remove_prefix(std::min(text.size(), part.size() + 1));
  }
  return at;
}

// Of an IPv6 address that isHost() accepts.
Groups groupsOf(std::string_view text) {
  Groups groups{};
  const auto gap = text.find("::");
  if (gap == std::string_view::npos) {
    readGroups(text, groups, 0);
    return groups;
  }
  readGroups(text.substr(0, gap), groups, 0);
  Groups behind{};
  const auto count = readGroups(text.substr(gap + 2), behind, 0);
  std::copy_n(behind.begin(), count, groups.end() - static_cast<std::ptrdiff_t>(count));
  return groups;
}

std::string lowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// One text for all spellings of a host; of an IPv6 address only the first 64 bits if not `isWhole`.
// Of an address that stands for an IPv4 one: that one.
std::string canonical(std::string_view host, bool isWhole, bool& loopback) {
  host = host.substr(0, host.find('%'));
  if (host.find(':') == std::string_view::npos || !isHost(host)) {
    // A local (Unix) socket has no host.
    const auto isOfV4 = [](char c) { return c == '.' || (c >= '0' && c <= '9'); };
    loopback = host.empty() || host == "localhost" ||
               (host.starts_with("127.") && std::all_of(host.begin(), host.end(), isOfV4));
    return lowerCase(host);
  }
  const Groups groups = groupsOf(host);
  const bool low = std::all_of(groups.begin(), groups.begin() + 5, [](auto g) { return g == 0; });
  if (low && groups[5] == 0xffff) {
    loopback = groups[6] >> 8 == 127;
    return fmt::format("{}.{}.{}.{}", groups[6] >> 8, groups[6] & 0xff, groups[7] >> 8,
                       groups[7] & 0xff);
  }
  loopback = low && groups[5] == 0 && groups[6] == 0 && groups[7] == 1;
  if (loopback) return "::1";
  if (!isWhole) return fmt::format("{:x}::/64", fmt::join(groups.begin(), groups.begin() + 4, ":"));
  return fmt::format("{:x}", fmt::join(groups, ":"));
}

}  // namespace

Payer Payer::host(std::string_view host) {
  bool loopback = false;
  const auto text = canonical(host, false, loopback);
  Payer payer;
  payer.key_ = (loopback ? "H" : "h") + text;
  return payer;
}

Payer Payer::machine(std::string_view host) {
  bool loopback = false;
  const auto text = canonical(host, true, loopback);
  Payer payer;
  payer.key_ = (loopback ? "T" : "t") + text;
  return payer;
}

Payer Payer::member(const PeerId& id) {
  Payer payer;
  payer.key_ = "m" + id.text();
  return payer;
}

Payer Payer::server(const ServerName& name) {
  Payer payer;
  payer.key_ = "s" + name.text();
  return payer;
}

Payer Payer::endpoint(const Endpoint& endpoint) {
  Payer payer;
  payer.key_ = "e" + machine(endpoint.host).key_.substr(1) + ":" + std::to_string(endpoint.port);
  return payer;
}

std::string Payer::text() const {
  return isProcess() ? "this process" : key_.substr(1);
}

}  // namespace espalier
