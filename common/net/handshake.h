// The first frame each way of a connection, for both programs and both kinds of connection (on an
// EventLoop, and blocking):
//
//   dialling end     Hello sent --Welcome------------------------------> welcomed
//                               --Failure, another frame, silence------> failed
//   accepting end    accepted --Hello, for a purpose that is served----> greeted
//                             --another frame or purpose---------------> Failure sent, closed
//                             --silence for limits::kHelloTimeout------> closed
//
// A Hello has the versions that its sender supports and the purpose of the connection
// (wire/hello.h). The accepting end answers with a Welcome, or with a Failure that gives the
// reason. Requests may follow the Hello at once.
//
// HelloHandler and WelcomeHandler are the handlers of a connection on a loop until the handshake is
// done. Then the owner sets its own handler, or detaches the connection. Thread rule of both: the
// loop's thread only. The functions build and read frames; the blocking ends (peer/transfer) use
// them directly.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/net/event_loop.h"
#include "common/wire/hello.h"

namespace espalier::net {

// --- frames, for a stream that is written as it is

std::string helloFrame(wire::Purpose purpose);
std::string welcomeFrame(const wire::Hello& hello);
std::string refusalFrame(const Error& why);
// The answer to a Hello. A Failure, or another frame, is returned as an error that can be shown.
Result<void> readWelcome(std::string_view payload);

// --- on an EventLoop

// Queues the Welcome that answers `hello`. `network`: zero is not told.
void sendWelcome(FramedConnection& connection, const wire::Hello& hello,
                 const wire::NetworkId& network = {});
// Queues a Failure, and closes once the other end has read it.
void refuse(FramedConnection& connection, const Error& why);

// The accepting end.
class HelloHandler final : public ConnectionHandler {
 public:
  struct Service {
    std::vector<wire::Purpose> purposes;  // others are refused
    std::string refusal;                  // with this sentence
  };
  // The owner answers by sendWelcome(), or detaches the stream, whose new owner answers.
  using Greeted = std::function<void(FramedConnection&, const wire::Hello&)>;

  HelloHandler(Service service, Greeted greeted);

  void onOpened(FramedConnection& connection) override;
  void onFrame(FramedConnection& connection, std::string_view payload) override;
  void onClosed(FramedConnection&, const Error&) override {}

 private:
  const Service service_;
  const Greeted greeted_;
};

// The dialling end.
class WelcomeHandler final : public ConnectionHandler {
 public:
  // The connection has no deadline any more.
  using Welcomed = std::function<void(FramedConnection&, const wire::Welcome&)>;
  // It could not be connected to, was refused, or ended before the Welcome. Called once, at the end
  // of a round of the loop.
  using Failed = std::function<void(ConnectionId, const Error& why)>;

  WelcomeHandler(Welcomed welcomed, Failed failed);

  // Dials, looking the host up if need be, and says Hello. Frames may be sent behind it at once.
  Result<FramedConnection*> dial(EventLoop& loop, ConnectionId id, const Endpoint& to, NamedBy who,
                                 wire::Purpose purpose);

  void onOpened(FramedConnection& connection) override;
  void onFrame(FramedConnection& connection, std::string_view payload) override;
  void onClosed(FramedConnection& connection, const Error& why) override;

 private:
  const Welcomed welcomed_;
  const Failed failed_;
};

}  // namespace espalier::net
