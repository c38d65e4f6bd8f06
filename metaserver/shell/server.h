// The metaserver's shell: owns the sockets and the registry, and answers the commands.
//
//   accepted --Hello for the registry--> session --ends, or is silent for kSessionSilence--> closed
//            --another first frame, or silence--> closed with a Failure (handshake.h)
//
// One mutex (Guarded) guards the registry. The loop's thread passes events to it. The threads of
// commands and the files' writer read a copy, which takes changes page by page
// (registry_follower.h). So no thread holds the mutex for long, or while it waits for a socket or a
// disk.
//
// Thread rule: the loop's thread, except where a function says otherwise. Built by main().
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "common/base/budget.h"
#include "common/base/guarded.h"
#include "common/net/event_loop.h"
#include "common/net/handshake.h"
#include "common/net/listener.h"
#include "metaserver/core/executor.h"
#include "metaserver/core/registry.h"
#include "metaserver/shell/dial_back.h"
#include "metaserver/shell/files_writer.h"
#include "metaserver/shell/metaserver_service.h"
#include "metaserver/shell/options.h"
#include "metaserver/shell/prober.h"
#include "metaserver/shell/registry_follower.h"

namespace espalier::metaserver::shell {

class Server final : public MetaserverService,
                     private net::ListenerHandler,
                     private net::ConnectionHandler {
 public:
  // Binds the port and nothing else. Fails with `unavailable` if it is taken. Runs the loop while
  // it looks a name up, so that a signal can end that; then the error is `interrupted`.
  static Result<std::unique_ptr<Server>> bind(net::EventLoop& loop, MetaserverOptions options);
  ~Server() override;

  // Reads the state, empties topo.txt if the network is new, and starts to serve.
  Result<void> open();
  // Writes the state file again after a user has removed it. Any thread, after open().
  void restoreState();
  Endpoint address() const { return listener_->localAddress(); }

  // --- MetaserverService; any thread
  Result<command::Topology> topology(std::stop_token stop) override;
  Result<std::string> topologyDot(std::stop_token stop) override;
  Result<command::KillPlan> whatIfKilled(const PeerId& id, std::stop_token stop) override;
  Result<Status> status() override;
  void stop() override { loop_.stop(); }

 private:
  Server(net::EventLoop& loop, MetaserverOptions options);
  // --- sessions: connections that have said Hello
  std::optional<net::Admission> onAccept(const net::Address& remote) override;
  void greeted(net::FramedConnection& connection, const wire::Hello& hello);
  void onFrame(net::FramedConnection& connection, std::string_view payload) override;
  void onClosed(net::FramedConnection& connection, const Error& why) override;

  template <typename Event>
  void step(Event&& event);

  // --- what the executor asks for (metaserver/core/executor.h)
  template <typename Host>
  friend Result<void> metaserver::carryOutEffects(Effects& fx, Host& host);
  Result<void> persist(const Persist& persist);
  void send(Send& send);
  void reading(const Reading& reading);
  void close(ConnectionId connection);
  void probe(Probe& probe);
  void notice(const Notice& notice);

  Result<void> writeOpened();
  std::optional<FilesSnapshot> snapshot(std::uint64_t newerThan);
  ConnectionId newDialled() { return ConnectionId{++connections_ * 2 + 1}; }
  void probeMore();
  Result<State> readState() const;
  std::string statePath() const { return options_.state + "/network"; }

  net::EventLoop& loop_;
  const MetaserverOptions options_;
  const TimePoint started_;
  net::HelloHandler greeter_;
  std::unique_ptr<net::Listener> listener_;
  Guarded<std::unique_ptr<Registry>> registry_{};
  Guarded<RegistryFollower> follower_{};  // locked before the registry, never after
  TimePoint deadline_ = kNever;
  std::uint64_t connections_ = 0;
  std::deque<Probe> toProbe_;
  State opened_;  // the content of the state file at the start
  Prober prober_;
  DialBack dialBack_;
  std::unique_ptr<FilesWriter> writer_;
};

}  // namespace espalier::metaserver::shell
