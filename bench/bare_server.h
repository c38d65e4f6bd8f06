// The least that a server does: accepts connections, reads, answers each read with the same bytes.
// The benchmarks `joins` and `accept` compare the real servers with it.
//
// Not thread-safe; run() blocks.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/file_descriptor.h"
#include "common/base/limits.h"

namespace espalier::bench {

class BareServer {
 public:
  // Listens on a free port of 127.0.0.1. A failure ends the benchmark.
  explicit BareServer(std::string reply) : reply_(std::move(reply)) {
    listener_ = FileDescriptor(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    const int on = 1;
    ::setsockopt(listener_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::bind(listener_.get(), generic, length) != 0 ||
        ::listen(listener_.get(), limits::kListenBacklog) != 0 ||
        ::getsockname(listener_.get(), generic, &length) != 0) {
      std::perror("the bare server");
      std::exit(1);
    }
    endpoint_ = {"127.0.0.1", ntohs(address.sin_port)};
  }

  const Endpoint& endpoint() const { return endpoint_; }

  // Serves until `done` is readable; -1: for ever. Accepted connections stay open until this object
  // is destroyed.
  void run(int done = -1) {
    const FileDescriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
    const auto add = [&](int descriptor) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.fd = descriptor;
      ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, descriptor, &event);
    };
    add(listener_.get());
    if (done >= 0) add(done);
    std::vector<epoll_event> events(limits::kEventsPerRound);
    char buffer[1024];
    while (true) {
      const int count = ::epoll_wait(epoll.get(), events.data(), limits::kEventsPerRound, -1);
      for (int i = 0; i < count; ++i) {
        const int descriptor = events[static_cast<std::size_t>(i)].data.fd;
        if (descriptor == done) return;
        if (descriptor == listener_.get()) {
          int joiner;
          while ((joiner = ::accept4(descriptor, nullptr, nullptr, SOCK_NONBLOCK)) >= 0) {
            add(joiner);
            accepted_.emplace_back(joiner);
          }
        } else if (::recv(descriptor, buffer, sizeof buffer, 0) > 0) {
          ::send(descriptor, reply_.data(), reply_.size(), MSG_NOSIGNAL);
        } else {
          ::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, descriptor, nullptr);
        }
      }
    }
  }

 private:
  std::string reply_;
  FileDescriptor listener_;
  Endpoint endpoint_;
  std::vector<FileDescriptor> accepted_;
};

}  // namespace espalier::bench
