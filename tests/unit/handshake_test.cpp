// Hello and Welcome over loopback, with both ends on one event loop.
#include "common/net/handshake.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/unit/net_fixture.h"

using namespace espalier;
using namespace espalier::net;
using namespace espalier::net::test;
using namespace std::chrono_literals;
using wire::Purpose;

namespace {

// A server that serves links and transfers, and a client that says Hello.
struct Ends : ListenerHandler {
  std::unique_ptr<EventLoop> loop{std::move(*EventLoop::create())};
  Recorder frames;  // of both ends, once they are through
  std::vector<Purpose> greeted;
  std::vector<std::string> failures;
  bool welcomed = false;
  wire::NetworkId network;  // that the Welcome told
  bool answers = true;
  wire::NetworkId told;

  HelloHandler hello{{{Purpose::link, Purpose::transfer}, "this is a peer"},
                     [this](FramedConnection& connection, const wire::Hello& said) {
                       greeted.push_back(said.purpose);
                       if (!answers) return;
                       sendWelcome(connection, said, told);
                       connection.setHandler(frames);
                     }};
  WelcomeHandler welcome{[this](FramedConnection& connection, const wire::Welcome& said) {
                           welcomed = true;
                           network = said.network;
                           connection.setHandler(frames);
                           loop->stop();
                         },
                         [this](ConnectionId id, const Error& why) {
                           CHECK(id == ConnectionId{1});
                           failures.push_back(why.message);
                           loop->stop();
                         }};
  std::unique_ptr<Listener> listener{std::move(*Listener::open(*loop, kAnyPort, *this))};

  std::optional<Admission> onAccept(const Address&) override {
    return Admission{ConnectionId{2}, &hello};
  }
  void dial(Purpose purpose) {
    REQUIRE(welcome.dial(*loop, ConnectionId{1}, listener->localAddress(), NamedBy::user, purpose)
                .ok());
  }
};

}  // namespace

TEST_CASE("a purpose that is served is greeted and welcomed, and what follows goes to the owner") {
  Ends ends;
  ends.dial(Purpose::link);
  ends.loop->find(ConnectionId{1})->send("first request");
  ends.loop->run();
  CHECK(ends.welcomed);
  CHECK(ends.greeted == std::vector{Purpose::link});
  std::string got;
  ends.frames.frame = [&](FramedConnection&, std::string_view payload) {
    got = payload;
    ends.loop->stop();
  };
  if (ends.frames.frameCount == 0) ends.loop->run();
  CHECK(ends.frames.frameCount == 1);
  CHECK(ends.failures.empty());
}

TEST_CASE("a Welcome tells the network of the one that was dialled, or none") {
  Ends ends;
  SUBCASE("none") {}
  SUBCASE("a network") {
    ends.told.bytes.fill(7);
  }
  ends.dial(Purpose::link);
  ends.loop->run();
  CHECK(ends.welcomed);
  CHECK(ends.network == ends.told);
}

TEST_CASE("another purpose is refused with the server's sentence") {
  Ends ends;
  ends.dial(Purpose::registry);
  ends.loop->run();
  CHECK_FALSE(ends.welcomed);
  CHECK(ends.greeted.empty());
  CHECK(ends.failures == std::vector<std::string>{"this is a peer"});
}

TEST_CASE("a first frame that is not a Hello is answered with a Failure") {
  Ends ends;
  RawClient client(ends.listener->localAddress());
  client.write(framed("\xff\xff\xff"));
  ends.loop->post([&] { ends.loop->stop(); });
  while (ends.loop->connectionCount() == 0) {
    ends.loop->post([&] { ends.loop->stop(); });
    ends.loop->run();
  }
  // Its end is awaited; the loop writes the answer meanwhile.
  for (int round = 0; round < 5; ++round) {
    ends.loop->post([&] { ends.loop->stop(); });
    ends.loop->run();
  }
  const auto header = client.read(limits::kFrameHeaderBytes);
  const auto length = wire::frameLength(header);
  REQUIRE(length.ok());
  const auto refused = readWelcome(client.read(*length));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message == "the first frame is no Hello");
  CHECK(ends.greeted.empty());
}

TEST_CASE("an end before the Welcome, and an address without a listener, fail once") {
  Ends ends;
  ends.answers = false;
  ends.dial(Purpose::link);
  while (ends.greeted.empty()) {
    ends.loop->post([&] { ends.loop->stop(); });
    ends.loop->run();
  }
  ends.loop->find(ConnectionId{2})->close({ErrorCode::failed, "gone"});
  ends.loop->run();
  REQUIRE(ends.failures.size() == 1);
  CHECK(ends.failures[0].ends_with("closed the connection"));
  const auto nowhere = ends.listener->localAddress();
  ends.listener.reset();
  REQUIRE(
      ends.welcome.dial(*ends.loop, ConnectionId{1}, nowhere, NamedBy::user, Purpose::link).ok());
  ends.loop->run();
  REQUIRE(ends.failures.size() == 2);
  CHECK(ends.failures[1].ends_with("Connection refused"));
}

TEST_CASE("the frames of the blocking ends are those of the loop") {
  const auto payloadOf = [](const std::string& frame) {
    return frame.substr(limits::kFrameHeaderBytes);
  };
  const auto hello = wire::decodeHello(payloadOf(helloFrame(Purpose::push)));
  REQUIRE(hello.ok());
  CHECK(hello->purpose == Purpose::push);
  CHECK(readWelcome(payloadOf(welcomeFrame(*hello))).ok());
  const auto refused = readWelcome(payloadOf(refusalFrame({ErrorCode::timeout, "busy\x1b[2J"})));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::timeout);
  CHECK(refused.error().message.find('\x1b') == std::string::npos);
}
