// A listening TCP socket on an EventLoop. Never shares its port: a second listener on it, in
// whatever process, fails with code `unavailable`.
//
// Out of descriptors (or of limits::kConnections) it stops accepting, tries again every
// limits::kAcceptPause, and logs each change of that state once. Joiners wait in the backlog
// meanwhile.
//
// Thread rule: the loop's thread only. Destroyed before the loop; also from inside a callback.
#pragma once

#include <Poco/Net/ServerSocket.h>

#include <memory>
#include <optional>

#include "common/base/endpoint.h"
#include "common/base/result.h"
#include "common/net/event_loop.h"
#include "common/net/event_source.h"

namespace espalier::net {

struct Admission {
  ConnectionId id;
  ConnectionHandler* handler;
};

class ListenerHandler {
 public:
  // A connection has come: says under which new id, and who gets its events (onOpened follows
  // at once). Without an answer it is closed.
  virtual std::optional<Admission> onAccept(const Address& remote) = 0;

 protected:
  ~ListenerHandler() = default;
};

class Listener final : public EventSource {
 public:
  // The host must be an IP literal; port 0 takes any free one. Fails with `unavailable` where
  // another port may do, else with `io`.
  static Result<std::unique_ptr<Listener>> open(EventLoop& loop, const Endpoint& at,
                                                ListenerHandler& handler);
  // On the first of the addresses that this machine has, an IPv4 one rather than an IPv6 one: that
  // is where servers listen unless told otherwise.
  static Result<std::unique_ptr<Listener>> open(EventLoop& loop, const Target& at,
                                                ListenerHandler& handler);
  // Takes over a socket that listens already, such as a local (Unix) one.
  static Result<std::unique_ptr<Listener>> adopt(EventLoop& loop, Poco::Net::ServerSocket socket,
                                                 ListenerHandler& handler);
  ~Listener() override;

  const Endpoint& localAddress() const { return local_; }

 private:
  Listener(EventLoop& loop, Poco::Net::ServerSocket socket, ListenerHandler& handler);
  void onEvents(std::uint32_t events) override;
  void onTimer(TimePoint now) override;
  bool acceptOne();
  void pause(const Error& why);

  EventLoop& loop_;
  ListenerHandler& handler_;
  Poco::Net::ServerSocket socket_;
  Endpoint local_;
  bool paused_ = false;
  bool* destroyed_ = nullptr;  // set while a callback runs
};

}  // namespace espalier::net
