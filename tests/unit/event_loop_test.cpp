// The rounds of an event loop: posted functions, signals, watches, timers, fairness.
#include <doctest/doctest.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/net_fixture.h"

using namespace espalier;
using namespace espalier::net;
using namespace espalier::net::test;
using namespace std::chrono_literals;

TEST_CASE("functions posted from other threads run on the loop, each once and in order") {
  Server server;
  constexpr int kThreads = 4;
  constexpr int kEach = 1000;
  std::vector<std::vector<int>> seen(kThreads);
  int total = 0;
  const auto owner = std::this_thread::get_id();
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        server.loop->post([&, t, i] {
          CHECK(std::this_thread::get_id() == owner);
          seen[t].push_back(i);
          if (++total == kThreads * kEach) server.loop->stop();
        });
      }
    });
  }
  server.loop->run();
  for (const auto& one : seen) {
    CHECK(one.size() == kEach);
    CHECK(std::is_sorted(one.begin(), one.end()));
  }
}

TEST_CASE("what was sent before stop is written") {
  Server server;
  server.opened = [&](FramedConnection& c) {
    c.send("goodbye");
    server.loop->stop();
  };
  const RawClient client(server.address());
  server.loop->run();
  CHECK(client.read(11) == framed("goodbye"));
}

TEST_CASE("a stop from another thread ends the loop, also before it runs") {
  Server server;
  std::jthread other([&] { server.loop->stop(); });
  server.loop->run();
  other.join();
  server.loop->stop();
  server.loop->run();
}

TEST_CASE("a signal is reported on the loop") {
  Server server;
  std::vector<int> signals;
  REQUIRE(server.loop->addSignalHandler({SIGUSR1, SIGUSR2}, [&](int signal) {
    signals.push_back(signal);
    if (signals.size() == 2) server.loop->stop();
  }));
  const auto owner = ::pthread_self();
  std::jthread other([owner] {
    ::pthread_kill(owner, SIGUSR1);
    ::pthread_kill(owner, SIGUSR2);
  });
  server.loop->run();
  std::sort(signals.begin(), signals.end());
  CHECK(signals == std::vector<int>{SIGUSR1, SIGUSR2});
}

TEST_CASE("a watched descriptor is reported until unwatch(), also from its own function") {
  Server server;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  int told = 0;
  REQUIRE(server.loop->watch(ends[0], [&] {
    ++told;
    server.loop->unwatch(ends[0]);
    server.loop->post([&] { server.loop->stop(); });
  }));
  REQUIRE(::write(ends[1], "x", 1) == 1);
  server.loop->run();
  server.loop->post([&] { server.loop->stop(); });
  server.loop->run();
  CHECK(told == 1);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("a handler that dials again whenever it is refused does not starve the others") {
  Server server;
  const Endpoint gone = [] {
    Server other;
    return other.address();
  }();
  Recorder stubborn;
  std::uint64_t next = 1;
  stubborn.closed = [&](FramedConnection&, const Error&) {
    next += 2;
    REQUIRE(server.loop->dial(ConnectionId{next}, gone, stubborn).ok());
  };
  server.frame = [&](FramedConnection&, std::string_view) { server.loop->stop(); };
  REQUIRE(server.loop->dial(ConnectionId{next}, gone, stubborn).ok());
  const RawClient client(server.address());
  client.write(framed("let me through"));
  server.loop->run();
  CHECK(server.frameCount == 1);
}

TEST_CASE("a busy connection does not keep another one waiting") {
  Server server;
  std::vector<ConnectionId> order;
  server.frame = [&](FramedConnection& c, std::string_view) {
    order.push_back(c.id());
    if (order.size() == 2001) server.loop->stop();
  };
  const RawClient busy(server.address());
  std::string stream;
  for (int i = 0; i < 2000; ++i) stream += framed("x");
  busy.write(stream);
  const RawClient modest(server.address());
  modest.write(framed("y"));
  server.loop->run();
  const auto turn = std::find(order.begin(), order.end(), ConnectionId{4}) - order.begin();
  CHECK(turn <= 2 * limits::kFramesPerRound);
}

TEST_CASE("after a stall everything that has arrived is read before the tick") {
  constexpr int kClients = 2 * limits::kEventsPerRound;
  REQUIRE(raiseDescriptorLimit().valueOr(0) > 2 * kClients + 100);
  Server server;
  std::vector<RawClient> clients;
  server.opened = [&](FramedConnection&) {
    if (server.openedCount == kClients) server.loop->stop();
  };
  std::thread dialler([&] {
    for (int i = 0; i < kClients; ++i) clients.emplace_back(server.address());
  });
  server.loop->run();
  dialler.join();
  for (const auto& client : clients) client.write(framed("alive"));

  // As after SIGSTOP: the deadline passed long ago.
  TimePoint deadline = Clock::now() - 10s;
  int heardBeforeTick = -1;
  server.loop->setTick([&] { return deadline; },
                       [&](TimePoint now) {
                         CHECK(now >= deadline);
                         heardBeforeTick = server.frameCount;
                         deadline = kNever;
                         server.loop->stop();
                       });
  server.loop->run();
  CHECK(heardBeforeTick == kClients);
}

TEST_CASE("a deadline that is only just due is kept in the round in which it is due") {
  Server server;
  const RawClient client(server.address());
  client.write(framed("first"));
  TimePoint deadline = kNever;
  std::vector<std::string> order;
  server.frame = [&](FramedConnection&, std::string_view payload) {
    order.emplace_back(payload);
    server.loop->post([&] { order.emplace_back("posted"); });
    deadline = Clock::now();
  };
  server.loop->setTick([&] { return deadline; },
                       [&](TimePoint) {
                         order.emplace_back("tick");
                         deadline = kNever;
                         server.loop->stop();
                       });
  server.loop->run();
  CHECK(order == std::vector<std::string>{"first", "posted", "tick"});
}

TEST_CASE("a deadline before all times is due at once") {
  Server server;
  TimePoint deadline = TimePoint::min();  // UBSan sees it if the loop subtracts from it
  server.loop->setTick([&] { return deadline; },
                       [&](TimePoint) {
                         deadline = kNever;
                         server.loop->stop();
                       });
  server.loop->run();
  CHECK(deadline == kNever);
}

TEST_CASE("the tick comes when nothing else does") {
  Server server;
  TimePoint deadline = Clock::now() + 20ms;
  server.loop->setTick([&] { return deadline; },
                       [&](TimePoint now) {
                         CHECK(now >= deadline);
                         deadline = kNever;
                         server.loop->stop();
                       });
  server.loop->run();
  CHECK(deadline == kNever);
}
