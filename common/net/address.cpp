#include "common/net/address.h"

#include <Poco/Exception.h>
#include <Poco/Net/DNS.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "common/base/file_descriptor.h"
#include "common/base/text.h"

namespace espalier::net {
namespace {

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
  if (::inet_pton(AF_INET6, endpoint.host.c_str(), result.bytes_.data()) == 1) {
    result.family_ = AF_INET6;
    return result;
  }
  return Error{ErrorCode::usage, fmt::format("{} is no IP address", escaped(endpoint.host))};
}

socklen_t Address::toNative(sockaddr_storage& native) const {
  native = {};
  if (family_ == AF_INET6) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(native);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port_);
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
  return {text, port_};
}

std::string Address::text() const {
  return family_ == 0 ? "a local socket" : endpoint().text();
}

Result<Endpoint> resolve(const Endpoint& endpoint) {
  if (Address::fromEndpoint(endpoint)) return endpoint;
  std::string why = "it has no address";
  try {
    const auto addresses = Poco::Net::DNS::hostByName(endpoint.host).addresses();
    const auto v4 = std::find_if(addresses.begin(), addresses.end(), [](const auto& address) {
      return address.family() == Poco::Net::IPAddress::IPv4;
    });
    const auto chosen = v4 != addresses.end() ? v4 : addresses.begin();
    if (chosen != addresses.end()) return Endpoint{chosen->toString(), endpoint.port};
  } catch (const Poco::Exception& exception) {
    why = exception.displayText();
  }
  return Error{ErrorCode::unavailable,
               fmt::format("cannot find the host {}: {}", escaped(endpoint.host), why)};
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
  // The lowest free one from there on; the table keeps its size when it is closed.
  const FileDescriptor high(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, static_cast<int>(last - 1)));
}

}  // namespace espalier::net
