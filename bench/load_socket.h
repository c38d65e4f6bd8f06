// Connections of a load: many from one process, each from an address of its own in 127/8, so that
// neither end runs out of ports and no bound for an address is met.
//
// Not thread-safe. Any failure but a refused connection ends the benchmark.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "bench/processes.h"
#include "common/wire/frame.h"

namespace espalier::bench {

inline std::string framed(std::string_view payload) {
  std::string frame;
  wire::appendFrame(payload, frame);
  return frame;
}

inline sockaddr_in addressOf(std::uint32_t host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(host);
  return address;
}

// A socket from the address number `number`, connected to a port of 127.0.0.1. -1: refused.
inline int dialFrom(std::size_t number, std::uint16_t port) {
  const auto n = static_cast<std::uint32_t>(number);
  const std::uint32_t host = (127u << 24) | ((1 + n % 200) << 16) | ((n / 200) % 60'000 + 1);
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const sockaddr_in source = addressOf(host, 0);
  const sockaddr_in target = addressOf(INADDR_LOOPBACK, port);
  if (socket < 0 ||
      ::bind(socket, reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0) {
    failWithErrno("a socket of the load");
  }
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&target), sizeof target) == 0) {
    return socket;
  }
  ::close(socket);
  return -1;
}

// Calls receive(socket) for each socket of an epoll that has something. True: standard input has a
// command.
template <typename Receive>
bool handleReady(int epoll, std::chrono::milliseconds wait, Receive receive) {
  std::array<epoll_event, 512> events;
  const int ready =
      ::epoll_wait(epoll, events.data(), events.size(), static_cast<int>(wait.count()));
  bool isCommanded = false;
  for (int i = 0; i < ready; ++i) {
    const int socket = events[static_cast<std::size_t>(i)].data.fd;
    if (socket == STDIN_FILENO) {
      isCommanded = true;
    } else {
      receive(socket);
    }
  }
  return isCommanded;
}

inline void raiseDescriptors() {
  rlimit descriptors{};
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
}

}  // namespace espalier::bench
