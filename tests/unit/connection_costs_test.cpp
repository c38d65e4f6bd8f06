// What connections cost, and who loses when a bound is reached: ConnectionCosts and Shares.
#include "common/net/connection_costs.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/base/budget.h"
#include "common/base/limits.h"
#include "common/net/shares.h"
#include "tests/unit/net_fixture.h"

namespace espalier::net {
namespace {

using namespace test;
using limits::Held;

std::shared_ptr<Budget> budgetWith(Held what, std::uint64_t process) {
  auto bounds = limits::kHeldBounds;
  bounds[static_cast<std::size_t>(what)] = {process, process};
  return std::make_shared<Budget>(bounds, limits::kRateBounds);
}

ConnectionId connection(std::uint64_t number) {
  return ConnectionId{number};
}

const Payer kAnn = Payer::host("192.0.2.1");
const Payer kBob = Payer::host("192.0.2.2");
const PeerId kMember = *PeerId::parse("ann");

// Lets the kernel send as little as possible.
constexpr int kSmallBuffer = 4096;

TEST_CASE("of the payer that has most, the connection of the least rank loses") {
  Shares shares;
  CHECK_FALSE(shares.loser());
  shares.set(connection(1), kAnn, 10, 7);
  shares.set(connection(2), kAnn, 10, 5);
  shares.set(connection(3), kBob, 15, 1);
  REQUIRE(shares.loser());
  CHECK(shares.loser()->connection == connection(2));
  CHECK(shares.loserOf(kBob)->connection == connection(3));
  shares.set(connection(1), kAnn, 1, 9);
  CHECK(shares.loser()->connection == connection(3));
  shares.remove(connection(3));
  CHECK(shares.loser()->connection == connection(2));
  CHECK_FALSE(shares.loserOf(kBob));
  shares.set(connection(1), kAnn, 0, 0);
  shares.remove(connection(2));
  CHECK(shares.isEmpty());
  CHECK_FALSE(shares.loser());
}

TEST_CASE("an accepted connection is a guest of its address until a member is admitted on it") {
  const auto budget = std::make_shared<Budget>();
  Server server(budget);
  server.frame = [&](FramedConnection& c, std::string_view) {
    CHECK(budget->held(Held::guests) == 1);
    CHECK(c.account().payer() == Payer::host("127.0.0.1"));
    c.admit(kMember);
    CHECK(budget->held(Held::guests) == 0);
    CHECK(c.account().payer() == Payer::member(kMember));
    c.close({ErrorCode::failed, "that is all"});
  };
  server.stopOnceClosed();
  RawClient client(server.address());
  client.write(framed("join"));
  server.loop->run();
  CHECK(server.frameCount == 1);
}

TEST_CASE("a connection that ends gives back what it held") {
  const auto budget = std::make_shared<Budget>();
  Server server(budget);
  server.stopOnceClosed();
  RawClient client(server.address());
  client.write(framed("whole").substr(0, 7));
  client.finish();
  server.loop->run();
  for (const auto what : {Held::guests, Held::queuedBytes, Held::receivedBytes}) {
    CHECK(budget->held(what) == 0);
  }
}

TEST_CASE("a newer guest takes the place of the oldest one") {
  Server server(budgetWith(Held::guests, 3));
  std::vector<ConnectionId> gone;
  server.closed = [&](FramedConnection& c, const Error& why) {
    CHECK(why.message.find("nobody joined") != std::string::npos);
    gone.push_back(c.id());
    if (gone.size() == 2) server.loop->stop();
  };
  std::vector<RawClient> clients;
  for (int i = 0; i < 5; ++i) clients.emplace_back(server.address());
  server.loop->run();
  CHECK(server.openedCount == 5);
  CHECK(gone == std::vector{ConnectionId{2}, ConnectionId{4}});
}

TEST_CASE("a member's connection is not closed for guests") {
  Server server(budgetWith(Held::guests, 1));
  ConnectionId admitted{};
  server.frame = [&](FramedConnection& c, std::string_view) {
    c.admit(kMember);
    admitted = c.id();
    c.send("welcome");
    server.loop->stop();
  };
  RawClient member(server.address());
  member.write(framed("join"));
  server.loop->run();
  server.closed = [&](FramedConnection&, const Error&) {
    if (server.ends.size() == 3) server.loop->stop();
  };
  std::vector<RawClient> clients;
  for (int i = 0; i < 4; ++i) clients.emplace_back(server.address());
  server.loop->run();
  CHECK(server.endsOf[admitted] == 0);
  CHECK(server.loop->find(admitted) != nullptr);
}

TEST_CASE("who has most bytes queued is closed, not who needs some more") {
  Server server(budgetWith(Held::queuedBytes, 6 << 20));
  std::vector<ConnectionId> served;
  server.frame = [&](FramedConnection& c, std::string_view) {
    served.push_back(c.id());
    // The first is sent far more than the kernel's buffers take.
    const int frames = served.size() == 1 ? 110 : 60;
    for (int i = 0; i < frames; ++i) c.send(std::string(limits::kFrameBytes, 'x'));
  };
  server.stopOnceClosed();
  RawClient most(server.address(), kSmallBuffer);
  most.write(framed("a"));
  RawClient less(server.address(), kSmallBuffer);
  less.write(framed("b"));
  server.loop->run();
  REQUIRE(served.size() == 2);
  CHECK(server.endsOf[served[0]] == 1);
  CHECK(server.endsOf[served[1]] == 0);
  CHECK(server.ends[0].message.find("reads too slowly") != std::string::npos);
}

TEST_CASE("half frames are bounded, and the largest goes first") {
  Server server(budgetWith(Held::receivedBytes, 100'000));
  std::vector<RawClient> clients;
  const std::string half = framed(std::string(limits::kFrameBytes, 'x')).substr(0, 45'000);
  server.stopOnceClosed();
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back(server.address());
    clients.back().write(half);
  }
  server.loop->run();
  CHECK(server.loop->budget()->held(Held::receivedBytes) <= 100'000);
  CHECK(server.ends[0].message.find("not read yet") != std::string::npos);
}

TEST_CASE("what waits on a session that its owner has paused is held by its sender") {
  Server server;
  server.frame = [&](FramedConnection& c, std::string_view) {
    c.pauseReading();
    server.loop->posted()->post([&] { server.loop->stop(); });
  };
  RawClient client(server.address());
  const std::string frame = framed(std::string(1000, 'x'));
  client.write(frame + frame + frame);
  server.loop->run();
  CHECK(server.frameCount == 1);
  CHECK(server.loop->budget()->held(Held::receivedBytes) >= frame.size());
  server.stopOnceClosed();
  server.loop->find(ConnectionId{2})->close({ErrorCode::failed, "that is all"});
  CHECK(server.loop->budget()->held(Held::receivedBytes) == 0);
}

TEST_CASE("who does not read its answers is not read from, until it reads them") {
  constexpr int kRequests = 2000;
  const std::string answer(16 * 1024, 'x');
  Server server;
  int answered = 0;
  ConnectionId deaf{};
  server.opened = [](FramedConnection& c) { c.answerRequests(); };
  server.frame = [&](FramedConnection& c, std::string_view payload) {
    if (payload == "ping") {
      c.send("pong");
      return;
    }
    deaf = c.id();
    ++answered;
    c.send(answer);
    CHECK(c.queuedBytes() <= limits::kUnreadAnswers + 2 * answer.size());
    if (answered == kRequests) server.loop->stop();
  };
  RawClient client(server.address(), kSmallBuffer);
  std::string requests;
  for (int i = 0; i < kRequests; ++i) requests += framed("?");
  client.write(requests);
  // Somebody else is served all the time. After so many rounds the first would have been served
  // completely.
  int pongs = 0;
  Recorder honest;
  honest.opened = [](FramedConnection& c) { c.send("ping"); };
  honest.frame = [&](FramedConnection& c, std::string_view) {
    if (++pongs == kRequests) return server.loop->stop();
    c.send("ping");
  };
  REQUIRE(server.loop->dial(ConnectionId{1}, server.address(), honest).ok());
  server.loop->run();
  CHECK(pongs == kRequests);
  CHECK(answered < kRequests);
  REQUIRE(server.loop->find(deaf) != nullptr);
  CHECK(server.loop->find(deaf)->queuedBytes() > limits::kUnreadAnswers);

  std::jthread reader([&] {
    CHECK(client.read(kRequests * framed(answer).size()).size() > 0);
    client.close();
  });
  server.loop->run();
  CHECK(answered == kRequests);
  server.stopOnceClosed();
  server.loop->run();  // the rest is sent, until the client is gone
}

}  // namespace
}  // namespace espalier::net
