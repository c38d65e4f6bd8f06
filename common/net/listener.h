// A listening TCP socket on an EventLoop.
//
//   accepting <--no room / limits::kAcceptPause later--> paused
//
// There is no room when descriptors are scarce, or limits::kConnections are open. Then the oldest
// guest (connection_costs.h) is closed, or, if all guests are new, it pauses. What it accepts is a
// guest until a member is admitted on it.
//
// It never shares its port: a second listener on the port, in any process, fails with code
// `unavailable`. While it is paused, new connections wait in the kernel's backlog. Each change of
// the state is logged once.
//
// Thread rule: the loop's thread only. Destroyed before the loop; a callback may destroy it. Used
// by the metaserver's Server and the peer's Network.
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
  // A connection was accepted: returns its new id and its handler, whose onOpened is called at
  // once. The connection is closed if it returns nothing.
  virtual std::optional<Admission> onAccept(const Address& remote) = 0;

 protected:
  ~ListenerHandler() = default;
};

class Listener final : public EventSource {
 public:
  // The host is an IP literal; port 0 takes any free port. Fails with `unavailable` where another
  // port may work, else with `io`.
  static Result<std::unique_ptr<Listener>> open(EventLoop& loop, const Endpoint& at,
                                                ListenerHandler& handler);
  // On the first of the addresses that this machine has. IPv4 addresses are tried first.
  static Result<std::unique_ptr<Listener>> open(EventLoop& loop, const Target& at,
                                                ListenerHandler& handler);
  // Takes over a socket that is listening, such as a local (Unix) one.
  static Result<std::unique_ptr<Listener>> adopt(EventLoop& loop, Poco::Net::ServerSocket socket,
                                                 ListenerHandler& handler);
  ~Listener() override;

  const Endpoint& localAddress() const { return local_; }

 private:
  Listener(EventLoop& loop, Poco::Net::ServerSocket socket, ListenerHandler& handler);
  void onEvents(std::uint32_t events) override;
  void onTimer(TimePoint now) override;
  bool acceptOne();
  bool isRoomForDescriptors();
  void pause(const Error& why);

  EventLoop& loop_;
  ListenerHandler& handler_;
  Poco::Net::ServerSocket socket_;
  Endpoint local_;
  // The limit on open files is raised before anything listens, and does not change any more.
  const int firstOfTheLast_;
  bool paused_ = false;
  bool fewDescriptors_ = false;  // when the last connection was accepted
  bool* destroyed_ = nullptr;    // set while a callback runs
};

}  // namespace espalier::net
