// Ends of a transfer that say what a test writes: a holder, and the first bytes of an asker.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "common/wire/frame.h"
#include "common/wire/hello.h"
#include "tests/unit/transfer_fixture.h"

namespace espalier::transfer::test {

using namespace std::chrono_literals;

inline std::string framed(const std::string& payload) {
  std::string frame;
  wire::appendFrame(payload, frame);
  return frame;
}

// Says Welcome, then these bytes, whatever it is asked; then waits for the asker to go.
class ScriptedHolder {
 public:
  explicit ScriptedHolder(std::string script, bool welcomes = true)
      : script_(welcomes ? framed(wire::encode(wire::Welcome{})) + script : script),
        listener_([this](FileDescriptor asker) {
          const net::Interrupter never;
          net::BlockingStream stream(net::TcpStream::adopt(std::move(asker)), 10s, never);
          (void)stream.write(script_);
          std::array<std::byte, 4096> buffer;
          while (stream.read(buffer)) {
          }
        }) {}
  Holder holder() const { return {*PeerId::parse("bad"), listener_.endpoint()}; }
  int connections() const { return listener_.connections; }

 private:
  std::string script_;
  Listener listener_;
};

inline net::BlockingStream connected(const Endpoint& endpoint, const std::string& first) {
  static const net::Interrupter never;
  auto dialled = net::dialBlocking(endpoint, 5s, never);
  REQUIRE(dialled.ok());
  net::BlockingStream stream(std::move(*dialled), 10s, never);
  REQUIRE(stream.write(first).ok());
  return stream;
}

inline std::string helloFrame() {
  wire::Hello hello;
  hello.purpose = wire::Purpose::transfer;
  return framed(wire::encode(hello));
}

}  // namespace espalier::transfer::test
