#include "common/net/address.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>

#include "common/base/file_descriptor.h"
#include "common/base/text.h"

namespace espalier::net {
namespace {

// The number of an interface, given as its name or as that number; 0: there is none.
std::uint32_t numberOfInterface(const std::string& scope) {
  if (const auto index = ::if_nametoindex(scope.c_str()); index != 0) return index;
  std::uint32_t number = 0;
  const auto* const last = scope.data() + scope.size();
  const auto [end, error] = std::from_chars(scope.data(), last, number);
  return error == std::errc() && end == last ? number : 0;
}

constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

Address Address::fromNative(const sockaddr_storage& native) {
  Address result;
  if (native.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(native);
    result.family_ = AF_INET;
    result.port_ = ntohs(v4.sin_port);
    std::memcpy(result.bytes_.data(), &v4.sin_addr, 4);
  } else if (native.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(native);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&v6.sin6_addr);
    result.port_ = ntohs(v6.sin6_port);
    if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes)) {
      result.family_ = AF_INET;
      std::memcpy(result.bytes_.data(), bytes + kMappedPrefix.size(), 4);
    } else {
      result.family_ = AF_INET6;
      result.scope_ = v6.sin6_scope_id;
      std::memcpy(result.bytes_.data(), bytes, 16);
    }
  }
  return result;
}

Result<Address> Address::fromEndpoint(const Endpoint& endpoint) {
  Address result;
  result.port_ = endpoint.port;
  if (::inet_pton(AF_INET, endpoint.host.c_str(), result.bytes_.data()) == 1) {
    result.family_ = AF_INET;
    return result;
  }
  const auto percent = endpoint.host.find('%');
  if (::inet_pton(AF_INET6, endpoint.host.substr(0, percent).c_str(), result.bytes_.data()) == 1) {
    result.family_ = AF_INET6;
    if (percent == std::string::npos) return result;
    const std::string scope = endpoint.host.substr(percent + 1);
    result.scope_ = numberOfInterface(scope);
    if (result.scope_ != 0) return result;
    return Error{ErrorCode::usage, fmt::format("{}: this machine has no interface {}",
                                               escaped(endpoint.host), escaped(scope))};
  }
  return Error{ErrorCode::usage, fmt::format("{} is no IP address", escaped(endpoint.host))};
}

socklen_t Address::toNative(sockaddr_storage& native) const {
  native = {};
  if (family_ == AF_INET6) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(native);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port_);
    v6.sin6_scope_id = scope_;
    std::memcpy(&v6.sin6_addr, bytes_.data(), 16);
    return sizeof v6;
  }
  auto& v4 = reinterpret_cast<sockaddr_in&>(native);
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port_);
  std::memcpy(&v4.sin_addr, bytes_.data(), 4);
  return sizeof v4;
}

Endpoint Address::endpoint() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family_ != 0) ::inet_ntop(family_, bytes_.data(), text, sizeof text);
  std::string host = text;
  if (scope_ != 0) {
    char name[IF_NAMESIZE] = "";
    const bool known = ::if_indextoname(scope_, name) != nullptr;
    host += '%' + (known ? std::string(name) : std::to_string(scope_));
  }
  return {std::move(host), port_};
}

std::string Address::text() const {
  return family_ == 0 ? "a local socket" : endpoint().text();
}

Result<std::uint64_t> raiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return systemError("cannot read the limit on open files", errno);
  }
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      return systemError("cannot raise the limit on open files", errno);
    }
  }
  return std::uint64_t{limit.rlim_cur};
}

void reserveDescriptors(std::uint64_t count) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const auto last = std::min<std::uint64_t>(count, limit.rlim_cur);
  if (last == 0 || last > INT_MAX) return;
  // The lowest free descriptor from there on. The table keeps its size when it is closed.
  const FileDescriptor high(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, static_cast<int>(last - 1)));
}

}  // namespace espalier::net
