// Server, which connects the metaserver's registry with sockets, over loopback.
#include "metaserver/shell/server.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/file_descriptor.h"
#include "tests/unit/server_fixture.h"

using namespace espalier;
using namespace espalier::metaserver::shell;
using namespace espalier::metaserver::shell::test;
using wire::Purpose;

namespace {

// A port of 127.0.0.1 that refuses connections, and that no other process can take.
class RefusingPort {
 public:
  RefusingPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(socket_.get(), any, length) == 0);
    REQUIRE(::getsockname(socket_.get(), any, &length) == 0);
    number_ = ntohs(address.sin_port);
  }
  std::uint16_t number() const { return number_; }

 private:
  FileDescriptor socket_;
  std::uint16_t number_ = 0;
};

}  // namespace

TEST_CASE("a session that says Hello and joins is admitted, and is in the topology") {
  RunningServer running;
  Session session(running.address(), Purpose::registry);
  const auto welcome = wire::decodeWelcome(session.hear());
  REQUIRE(welcome.ok());
  session.say(joinOf("s1"));
  const auto admitted = session.reply<wire::Admitted>();
  CHECK(welcome->network == admitted.network);
  CHECK(admitted.self.id.text() == "s1");
  CHECK(admitted.self.endpoint.host == "127.0.0.1");
  CHECK(admitted.self.endpoint.port != 0);
  CHECK(admitted.source == "127.0.0.1");
  CHECK(admitted.referral.kind == wire::Referral::Kind::root);
  const auto topology = running.server().topology({});
  REQUIRE(topology.ok());
  REQUIRE(topology->peers.size() == 1);
  session.say(wire::TopologyRequest{});
  const auto page = session.reply<wire::Topology>();
  REQUIRE(page.entries.size() == 1);
  CHECK(page.entries[0].member.id.text() == "s1");
}

TEST_CASE("another purpose, and a first frame of noise, are refused with a sentence") {
  RunningServer running;
  for (const auto purpose : {Purpose::link, Purpose::transfer, Purpose::push}) {
    Session session(running.address(), purpose);
    const auto refused = session.welcomed();
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().message == "this is a metaserver, not a peer");
    CHECK(session.hear().empty());
  }
  CHECK(running.server().status()->members == 0);
}

TEST_CASE("a wrong join word is refused, and the next one is tried on the same session") {
  RunningServer running;
  Session session(running.address(), Purpose::registry);
  REQUIRE(session.welcomed().ok());
  session.say(joinOf("s1", "yes"));
  CHECK(session.reply<wire::WordRefused>().word == "P2P");
  session.say(joinOf("s1"));
  CHECK(session.reply<wire::Admitted>().self.id.text() == "s1");
}

TEST_CASE("a frame that is not a request is answered with the reason and ends only that session") {
  RunningServer running;
  Session good(running.address(), Purpose::registry);
  REQUIRE(good.welcomed().ok());
  good.say(joinOf("s1"));
  (void)good.reply<wire::Admitted>();
  Session bad(running.address(), Purpose::registry);
  REQUIRE(bad.welcomed().ok());
  bad.sayFrame("\xff\xff noise");
  CHECK(bad.reply<wire::Failure>().code == ErrorCode::protocol);
  CHECK(bad.hear().empty());
  good.say(wire::MembersRequest{});
  CHECK(good.reply<wire::Members>().count == 1);
}

TEST_CASE("requests that follow the Hello at once are answered in their order") {
  RunningServer running;
  Session session(running.address(), Purpose::registry);
  session.say(joinOf("s1"));
  session.say(wire::MembersRequest{});
  session.say(wire::TopologyRequest{});
  REQUIRE(session.welcomed().ok());
  (void)session.reply<wire::Admitted>();
  CHECK(session.reply<wire::Members>().count == 1);
  CHECK(session.reply<wire::Topology>().entries.size() == 1);
}

TEST_CASE("many that join at once each get an order and a port of their own") {
  constexpr std::size_t kPeers = 64;
  RunningServer running;
  std::vector<std::unique_ptr<Session>> sessions;
  for (std::size_t i = 0; i < kPeers; ++i) {
    sessions.push_back(std::make_unique<Session>(running.address(), Purpose::registry));
    sessions.back()->say(joinOf("p" + std::to_string(i)));
  }
  std::set<std::uint16_t> ports;
  std::set<JoinOrder> orders;
  for (auto& session : sessions) {
    REQUIRE(session->welcomed().ok());
    const auto admitted = session->reply<wire::Admitted>();
    ports.insert(admitted.self.endpoint.port);
    orders.insert(admitted.self.order);
  }
  CHECK(ports.size() == kPeers);
  CHECK(orders.size() == kPeers);
  CHECK(running.members(kPeers) == kPeers);
}

TEST_CASE("a member that quits, and one whose connection ends, leave the topology") {
  RunningServer running;
  std::optional<Session> first(std::in_place, running.address(), Purpose::registry);
  std::optional<Session> second(std::in_place, running.address(), Purpose::registry);
  first->say(joinOf("s1"));
  REQUIRE(first->welcomed().ok());
  (void)first->reply<wire::Admitted>();
  second->say(joinOf("s2"));
  REQUIRE(second->welcomed().ok());
  (void)second->reply<wire::Admitted>();
  CHECK(running.members(2) == 2);
  first->say(wire::Quit{});
  CHECK(running.members(1) == 1);
  second.reset();
  CHECK(running.members(0) == 0);
}

TEST_CASE("an unreachable member is informed with the answer to a heartbeat") {
  const RefusingPort port;
  RunningServer running(port.number());
  Session session(running.address(), Purpose::registry);
  session.say(joinOf("s1"));  // and listens nowhere
  REQUIRE(session.welcomed().ok());
  (void)session.reply<wire::Admitted>();
  std::string problem;
  for (int heartbeat = 0; heartbeat < 10'000 && problem.empty(); ++heartbeat) {
    session.say(wire::RegistryHeartbeat{});
    problem = session.reply<wire::RegistryHeartbeatReply>().unreachable;
  }
  CHECK(problem.find("Connection refused") != std::string::npos);
}

TEST_CASE("a second server on the port fails before it touches a file") {
  RunningServer running;
  const auto loop = std::move(*net::EventLoop::create());
  MetaserverOptions options;
  options.listen = running.address();
  options.state = "/nowhere/at/all";
  const auto second = Server::bind(*loop, options);
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == ErrorCode::unavailable);
}
