#include "common/net/handshake.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/wire/frame.h"

namespace espalier::net {
namespace {

std::string frameOf(std::string_view payload) {
  std::string frame;
  wire::appendFrame(payload, frame);
  return frame;
}

std::string encodeHello(wire::Purpose purpose) {
  wire::Hello hello;
  hello.purpose = purpose;
  return wire::encode(hello);
}

// The kernel of a stopped process still accepts connections.
void awaitFirstFrame(FramedConnection& connection) {
  connection.closeAt(Clock::now() + limits::kHelloTimeout, "it said nothing");
}

}  // namespace

std::string helloFrame(wire::Purpose purpose) {
  return frameOf(encodeHello(purpose));
}

std::string welcomeFrame(const wire::Hello& hello) {
  return frameOf(wire::encode(wire::welcomeFor(hello)));
}

std::string refusalFrame(const Error& why) {
  return frameOf(wire::encode(wire::Failure{why.code, why.message}));
}

Result<void> readWelcome(std::string_view payload) {
  const auto welcome = wire::decodeWelcome(payload);
  if (!welcome) return Error{welcome.error().code, escaped(welcome.error().message)};
  return {};
}

void sendWelcome(FramedConnection& connection, const wire::Hello& hello,
                 const wire::NetworkId& network) {
  connection.send(wire::encode(wire::welcomeFor(hello, network)));
}

void refuse(FramedConnection& connection, const Error& why) {
  connection.send(wire::encode(wire::Failure{why.code, why.message}));
  connection.closeAfterFlush(why);
}

HelloHandler::HelloHandler(Service service, Greeted greeted)
    : service_(std::move(service)), greeted_(std::move(greeted)) {}

void HelloHandler::onOpened(FramedConnection& connection) {
  awaitFirstFrame(connection);
}

void HelloHandler::onFrame(FramedConnection& connection, std::string_view payload) {
  const auto hello = wire::decodeHello(payload);
  if (!hello) return refuse(connection, hello.error());
  const auto& purposes = service_.purposes;
  if (std::find(purposes.begin(), purposes.end(), hello->purpose) == purposes.end()) {
    return refuse(connection, {ErrorCode::protocol, service_.refusal});
  }
  greeted_(connection, *hello);
}

WelcomeHandler::WelcomeHandler(Welcomed welcomed, Failed failed)
    : welcomed_(std::move(welcomed)), failed_(std::move(failed)) {}

Result<FramedConnection*> WelcomeHandler::dial(EventLoop& loop, ConnectionId id, const Endpoint& to,
                                               NamedBy who, wire::Purpose purpose) {
  auto connection = loop.dialName(id, to, who, *this);
  if (connection) (*connection)->send(encodeHello(purpose));
  return connection;
}

void WelcomeHandler::onOpened(FramedConnection& connection) {
  awaitFirstFrame(connection);
}

void WelcomeHandler::onFrame(FramedConnection& connection, std::string_view payload) {
  const auto welcome = wire::decodeWelcome(payload);
  if (!welcome) return connection.close(welcome.error());
  connection.keepOpen();
  welcomed_(connection, *welcome);
}

void WelcomeHandler::onClosed(FramedConnection& connection, const Error& why) {
  failed_(connection.id(), why);
}

}  // namespace espalier::net
