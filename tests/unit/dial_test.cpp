#include <doctest/doctest.h>
#include <sys/socket.h>

#include <atomic>
#include <future>
#include <thread>

#include "common/base/file_descriptor.h"
#include "common/net/blocking_stream.h"
#include "common/net/resolver.h"

using namespace espalier;
using namespace espalier::net;
using namespace std::chrono_literals;

namespace {

// A socket that listens on 127.0.0.1 only.
class Listening {
 public:
  Listening() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_storage native;
    socklen_t length = Address::fromEndpoint({"127.0.0.1", 0})->toNative(native);
    REQUIRE(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&native), length) == 0);
    REQUIRE(::listen(socket_.get(), 16) == 0);
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&native), &length);
    port = Address::fromNative(native).port();
  }
  void close() { socket_.reset(); }
  std::uint16_t port = 0;

 private:
  FileDescriptor socket_;
};

Resolver::LookUp finds(std::vector<std::string> hosts) {
  return [hosts = std::move(hosts)](const std::string&) {
    std::vector<Address> addresses;
    for (const auto& host : hosts) addresses.push_back(*Address::fromEndpoint({host, 0}));
    return Result<std::vector<Address>>(addresses);
  };
}

}  // namespace

TEST_CASE("a holder's addresses are tried in their order until one of them answers") {
  const Listening listening;
  Resolver resolver(finds({"::1", "127.0.0.2", "127.0.0.1"}));
  Interrupter interrupter;
  const auto stream = dialBlocking({"threefold", listening.port}, 5s, interrupter, resolver);
  REQUIRE(stream.ok());
  CHECK((*stream)->remote().endpoint().host == "127.0.0.1");
}

TEST_CASE("an unreachable holder is named as it was given, with each address that was tried") {
  Listening listening;
  listening.close();
  Resolver resolver(finds({"127.0.0.2", "127.0.0.1"}));
  Interrupter interrupter;
  const auto port = std::to_string(listening.port);
  const auto failed = dialBlocking({"twofold", listening.port}, 5s, interrupter, resolver);
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code == ErrorCode::io);
  CHECK(failed.error().message == "cannot connect to twofold:" + port +
                                      " (tried 127.0.0.2: Connection refused; 127.0.0.1: "
                                      "Connection refused)");
  const auto literal = dialBlocking({"127.0.0.1", listening.port}, 5s, interrupter, resolver);
  REQUIRE_FALSE(literal.ok());
  CHECK(literal.error().message == "cannot connect to 127.0.0.1:" + port + ": Connection refused");
}

TEST_CASE("dialling can be interrupted while the holder's name is being looked up") {
  std::promise<void> end;
  std::atomic<bool> asked = false;
  Resolver resolver([&asked, ended = end.get_future().share()](const std::string&) {
    asked = true;
    ended.wait();
    return Result<std::vector<Address>>(Error{ErrorCode::unavailable, "it took too long"});
  });
  Interrupter interrupter;
  std::jthread canceller([&] {
    while (!asked) std::this_thread::yield();
    interrupter.interrupt();
  });
  const auto failed = dialBlocking({"slow", 7}, 1h, interrupter, resolver);
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code == ErrorCode::interrupted);
  end.set_value();
}
