#include <doctest/doctest.h>
#include <sys/socket.h>

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "common/base/limits.h"
#include "common/net/event_loop.h"
#include "common/net/listener.h"
#include "common/net/resolver.h"

using namespace espalier;
using namespace espalier::net;
using namespace std::chrono_literals;

namespace {

Address addressOf(const std::string& host, std::uint16_t port = 0) {
  return *Address::fromEndpoint({host, port});
}

Resolver::LookUp finds(std::vector<std::string> hosts) {
  return [hosts = std::move(hosts)](const std::string&) {
    std::vector<Address> addresses;
    for (const auto& host : hosts) addresses.push_back(addressOf(host));
    return Result<std::vector<Address>>(addresses);
  };
}

// Look-ups that last until the test has had enough of them.
class Slow {
 public:
  ~Slow() { finish(); }
  Resolver::LookUp lookUp() {
    return [begun = begun_, end = end_](const std::string&) -> Result<std::vector<Address>> {
      ++*begun;
      end.wait();
      return std::vector<Address>{addressOf("192.0.2.1")};
    };
  }
  void finish() {
    if (!std::exchange(finished_, true)) promise_.set_value();
  }
  std::size_t begun() const { return *begun_; }

 private:
  // Shared: a look-up may outlive its caller.
  std::shared_ptr<std::atomic<std::size_t>> begun_ = std::make_shared<std::atomic<std::size_t>>();
  std::promise<void> promise_;
  std::shared_future<void> end_{promise_.get_future()};
  bool finished_ = false;
};

struct Client : ConnectionHandler {
  EventLoop* loop = nullptr;
  std::string openedTo;
  std::vector<Error> ends;

  void onOpened(FramedConnection& connection) override {
    openedTo = connection.remote().text();
    loop->stop();
  }
  void onFrame(FramedConnection&, std::string_view) override {}
  void onClosed(FramedConnection&, const Error& why) override {
    ends.push_back(why);
    loop->stop();
  }
};

struct Accepting : ListenerHandler {
  Client nobody;
  std::optional<Admission> onAccept(const Address&) override { return std::nullopt; }
};

}  // namespace

TEST_CASE("an IP literal is not looked up") {
  Resolver resolver([](const std::string&) -> Result<std::vector<Address>> {
    return Error{ErrorCode::failed, "it was looked up"};
  });
  const auto v4 = resolver.resolve({"192.0.2.7", 5000}, NamedBy::user, {});
  REQUIRE(v4.ok());
  CHECK(v4->addresses == std::vector{addressOf("192.0.2.7", 5000)});
  CHECK(v4->text() == "192.0.2.7:5000");
  CHECK(resolver.resolve({"::1", 5000}, NamedBy::user, {})->text() == "[::1]:5000");
  const auto foreign = resolver.resolve({"fe80::1%nosuchcard", 5000}, NamedBy::user, {});
  REQUIRE_FALSE(foreign.ok());
  CHECK(foreign.error().message == "fe80::1%nosuchcard: this machine has no interface nosuchcard");
}

TEST_CASE("a name has its addresses in their order, each once, and not too many") {
  Resolver resolver(finds({"::1", "127.0.0.1", "::1"}));
  const auto target = resolver.resolve({"twofold", 7}, NamedBy::user, {});
  REQUIRE(target.ok());
  CHECK(target->addresses == std::vector{addressOf("::1", 7), addressOf("127.0.0.1", 7)});
  CHECK(target->text() == "twofold:7 (::1, 127.0.0.1)");
  std::vector<std::string> many;
  for (int i = 1; i < 100; ++i) many.push_back("192.0.2." + std::to_string(i));
  CHECK(Resolver(finds(many)).resolve({"many", 7}, NamedBy::user, {})->addresses.size() ==
        limits::kHostAddresses);
}

TEST_CASE("the system's own look-up knows this machine") {
  const auto found = Resolver::ofSystem().resolve({"localhost", 7}, NamedBy::user, {});
  REQUIRE(found.ok());
  CHECK(found->asked == Endpoint{"localhost", 7});
  CHECK(found->addresses.front().port() == 7);
}

TEST_CASE("a look-up that fails names the host as it was typed") {
  Resolver failing([](const std::string&) -> Result<std::vector<Address>> {
    return Error{ErrorCode::unavailable, "Name or service not known"};
  });
  const auto failed = failing.resolve({"nowhere", 7}, NamedBy::user, {});
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code == ErrorCode::unavailable);
  CHECK(failed.error().message == "cannot find the host nowhere: Name or service not known");
  const auto none = Resolver(finds({})).resolve({"nowhere", 7}, NamedBy::user, {});
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().message == "cannot find the host nowhere: it has no address");
}

TEST_CASE("waiting for a slow look-up ends at once when interrupted, or by its timeout") {
  Slow slow;
  Resolver resolver(slow.lookUp());
  std::stop_source stop;
  std::jthread canceller([&] {
    while (slow.begun() == 0) std::this_thread::yield();
    stop.request_stop();
  });
  const auto stopped = resolver.resolve({"slow", 7}, NamedBy::user, stop.get_token(), 1h);
  REQUIRE_FALSE(stopped.ok());
  CHECK(stopped.error().code == ErrorCode::interrupted);
  const auto tired = resolver.resolve({"slow", 7}, NamedBy::user, {}, 1ms);
  REQUIRE_FALSE(tired.ok());
  CHECK(tired.error().code == ErrorCode::timeout);
  CHECK(tired.error().message.starts_with("cannot find the host slow: no answer within"));
}

TEST_CASE("so many look-ups are under way at a time, fewer of names that come from others") {
  Slow slow;
  Resolver resolver(slow.lookUp());
  std::atomic<std::size_t> answers{0};
  const auto look = [&](NamedBy who) {
    resolver.start({"slow", 7}, who, [&](const Result<Target>& target) {
      CHECK(target.ok());
      ++answers;
    });
  };
  for (std::size_t i = 0; i < limits::kLookUps - limits::kLookUpsKept; ++i) look(NamedBy::others);
  const auto foreign = resolver.resolve({"foreign", 7}, NamedBy::others, {});
  REQUIRE_FALSE(foreign.ok());
  CHECK(foreign.error().message ==
        "cannot look up the host foreign: too many names are being looked up");
  for (std::size_t i = 0; i < limits::kLookUpsKept; ++i) look(NamedBy::user);
  const auto refused = resolver.resolve({"another", 7}, NamedBy::user, {});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message ==
        "cannot look up the host another: too many names are being looked up");
  slow.finish();
  while (answers < limits::kLookUps) std::this_thread::yield();
  CHECK(resolver.resolve({"another", 7}, NamedBy::user, {}).ok());
}

TEST_CASE("the loop tries the addresses of a name until one of them answers") {
  auto loop = std::move(*EventLoop::create());
  Accepting accepting;
  auto listener = std::move(*Listener::open(*loop, Endpoint{"127.0.0.1", 0}, accepting));
  const auto port = listener->localAddress().port;
  Client client;
  client.loop = loop.get();
  // The first two have no listener on the port; the documentation's network is not routed.
  const Target target{
      {"threefold", port},
      {addressOf("::1", port), addressOf("127.0.0.2", port), addressOf("127.0.0.1", port)}};
  REQUIRE(loop->dial(ConnectionId{1}, target, client).ok());
  loop->run();
  CHECK(client.openedTo == "127.0.0.1:" + std::to_string(port));
  CHECK(client.ends.empty());
}

TEST_CASE("if no address of a name answers, the loop reports each address and its error") {
  auto loop = std::move(*EventLoop::create());
  Accepting accepting;
  auto listener = std::move(*Listener::open(*loop, Endpoint{"127.0.0.1", 0}, accepting));
  const auto port = listener->localAddress().port;
  listener.reset();
  Client client;
  client.loop = loop.get();
  const Target target{{"twofold", port},
                      {addressOf("127.0.0.2", port), addressOf("127.0.0.1", port)}};
  REQUIRE(loop->dial(ConnectionId{1}, target, client).ok());
  loop->run();
  REQUIRE(client.ends.size() == 1);
  CHECK(client.ends[0].code == ErrorCode::unavailable);
  CHECK(client.ends[0].message == "cannot connect to twofold:" + std::to_string(port) +
                                      " (tried 127.0.0.2: Connection refused; 127.0.0.1: "
                                      "Connection refused)");
}

TEST_CASE("an address that never answers costs its part of the time only") {
  // A backlog that is full: the kernel drops further SYNs.
  auto loop = std::move(*EventLoop::create());
  Accepting accepting;
  auto listener = std::move(*Listener::open(*loop, Endpoint{"127.0.0.1", 0}, accepting));
  const auto port = listener->localAddress().port;
  const int full = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int occupant = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_storage native;
  const socklen_t length = addressOf("127.0.0.3", port).toNative(native);
  REQUIRE(::bind(full, reinterpret_cast<sockaddr*>(&native), length) == 0);
  REQUIRE(::listen(full, 0) == 0);
  REQUIRE(::connect(occupant, reinterpret_cast<sockaddr*>(&native), length) == 0);
  Client client;
  client.loop = loop.get();
  const Target target{{"twofold", port},
                      {addressOf("127.0.0.3", port), addressOf("127.0.0.1", port)}};
  REQUIRE(loop->dial(ConnectionId{1}, target, client, 2s).ok());
  loop->run();
  CHECK(client.openedTo == "127.0.0.1:" + std::to_string(port));
  ::close(full);
  ::close(occupant);
}

TEST_CASE("listening on a name takes an address of this machine, and shares no port") {
  auto loop = std::move(*EventLoop::create());
  Accepting accepting;
  const Target target{{"several", 0},
                      {addressOf("::1"), addressOf("192.0.2.1"), addressOf("127.0.0.1")}};
  auto first = Listener::open(*loop, target, accepting);
  REQUIRE(first.ok());
  CHECK((*first)->localAddress().host == "127.0.0.1");
  const auto port = (*first)->localAddress().port;
  const auto second = Listener::open(
      *loop, Target{{"both", port}, {addressOf("::1", port), addressOf("127.0.0.1", port)}},
      accepting);
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == ErrorCode::unavailable);
  const auto foreign =
      Listener::open(*loop, Target{{"foreign", 0}, {addressOf("192.0.2.1")}}, accepting);
  REQUIRE_FALSE(foreign.ok());
  CHECK(foreign.error().code == ErrorCode::io);
  CHECK(foreign.error().message.find("foreign:0 (192.0.2.1)") != std::string::npos);
}

TEST_CASE("a link-local address from the network is on the interface in use") {
  Resolver resolver;
  CHECK(resolver.literal({"fe80::1", 7})->value().addresses[0].interfaceNumber() == 0);
  resolver.useInterface(1);
  CHECK(resolver.literal({"fe80::1", 7})->value().addresses[0].text() == "[fe80::1%lo]:7");
  CHECK(resolver.literal({"::1", 7})->value().addresses[0].text() == "[::1]:7");
  CHECK_FALSE(resolver.literal({"localhost", 7}).has_value());
}

TEST_CASE("a link-local address keeps the interface that it belongs to") {
  const auto scoped = Address::fromEndpoint({"fe80::1%lo", 5000});
  REQUIRE(scoped.ok());
  CHECK(scoped->text() == "[fe80::1%lo]:5000");
  sockaddr_storage native;
  scoped->toNative(native);
  CHECK(reinterpret_cast<const sockaddr_in6&>(native).sin6_scope_id == 1);
  CHECK(Address::fromNative(native) == *scoped);
  CHECK(*Address::fromEndpoint({"fe80::1%1", 5000}) == *scoped);
  CHECK(scoped->sameHost(addressOf("fe80::1")));
  CHECK_FALSE(*scoped == addressOf("fe80::1", 5000));
  CHECK_FALSE(Address::fromEndpoint({"fe80::1%", 5000}).ok());
  CHECK_FALSE(Address::fromEndpoint({"127.0.0.1%lo", 5000}).ok());
}
