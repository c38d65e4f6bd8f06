// The metaserver's shell: its sockets, around the registry, and what its commands ask for.
//
//   accepted --Hello for the registry--> session --ends, or is silent for kSessionSilence--> closed
//            --another first frame, or silence--> closed with a Failure (handshake.h)
//
// Owns the listener and the registry, which one mutex guards (Guarded). The loop's thread feeds the
// registry. The threads of commands and the writer of files read a copy that follows it, a page of
// changes at a time (registry_follower.h). So no thread holds the mutex for long, or while it waits
// for a socket or a disk.
//
// Thread rule: the loop's thread, but for the functions that say otherwise. Built by main().
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "common/base/guarded.h"
#include "common/net/event_loop.h"
#include "common/net/handshake.h"
#include "common/net/listener.h"
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
  // Binds the port, and nothing else yet: fails with `unavailable` when it is taken. A name is
  // looked up with the loop running, so that a signal can stop that: `interrupted` then.
  static Result<std::unique_ptr<Server>> bind(net::EventLoop& loop, MetaserverOptions options);
  ~Server() override;

  // Reads the state, empties topo.txt if the network is new, begins to serve.
  Result<void> open();
  // Writes the state file again, which somebody has removed; on any thread, once it is open.
  void restoreState();
  Endpoint address() const { return listener_->localAddress(); }

  // --- what commands ask; from any thread
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
  void carryOut(Effects& fx);
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
  State opened_;  // what the state file had when it was opened
  Prober prober_;
  DialBack dialBack_;
  std::unique_ptr<FilesWriter> writer_;
};

}  // namespace espalier::metaserver::shell
