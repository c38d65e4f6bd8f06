// The metaserver's shell: sockets around the registry.
//
// Owns the listener and the registry (one mutex: Guarded). The loop's thread feeds the registry;
// command threads and the files' writer look at a copy that follows it, a page of changes at a time
// (registry_follower.h). So no thread holds the mutex for long, or while it waits for a socket or a
// disk.
//
//   accepted --Hello (purpose registry)--> session --ends--> closed
//      \--anything else, or silence for limits::kHelloTimeout--> closed with a Failure
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "common/base/guarded.h"
#include "common/net/event_loop.h"
#include "common/net/listener.h"
#include "metaserver/core/registry.h"
#include "metaserver/shell/dial_back.h"
#include "metaserver/shell/files_writer.h"
#include "metaserver/shell/registry_follower.h"
#include "metaserver/shell/metaserver_service.h"
#include "metaserver/shell/options.h"

namespace espalier::metaserver::shell {

class Server final : public MetaserverService, private net::ListenerHandler {
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
  // Connections that have not said Hello.
  class Greeter final : public net::ConnectionHandler {
   public:
    explicit Greeter(Server& server) : server_(server) {}
    void onOpened(net::FramedConnection& connection) override;
    void onFrame(net::FramedConnection& connection, std::string_view payload) override;
    void onClosed(net::FramedConnection&, const Error&) override {}

   private:
    Server& server_;
  };
  class Sessions final : public net::ConnectionHandler {
   public:
    explicit Sessions(Server& server) : server_(server) {}
    void onFrame(net::FramedConnection& connection, std::string_view payload) override;
    void onClosed(net::FramedConnection& connection, const Error& why) override;

   private:
    Server& server_;
  };
  // Is a peer of before still listening?
  class Prober final : public net::ConnectionHandler {
   public:
    explicit Prober(Server& server) : server_(server) {}
    void onOpened(net::FramedConnection& connection) override;
    void onFrame(net::FramedConnection&, std::string_view) override {}
    void onClosed(net::FramedConnection& connection, const Error& why) override;

   private:
    Server& server_;
  };

  Server(net::EventLoop& loop, MetaserverOptions options);
  std::optional<net::Admission> onAccept(const net::Address& remote) override;
  template <typename Event>
  void step(Event&& event);
  void carryOut(Effects& fx);
  std::optional<Snapshot> snapshot(std::uint64_t newerThan);
  void probeMore();
  void probed(ConnectionId connection, bool listening);
  Result<State> readState() const;
  std::string statePath() const { return options_.state + "/network"; }

  net::EventLoop& loop_;
  const MetaserverOptions options_;
  const TimePoint started_;
  Greeter greeter_{*this};
  Sessions sessions_{*this};
  Prober prober_{*this};
  std::unique_ptr<net::Listener> listener_;
  Guarded<std::unique_ptr<Registry>> registry_{};
  Guarded<RegistryFollower> follower_{};  // locked before the registry, never after
  TimePoint deadline_ = kNever;
  std::uint64_t connections_ = 0;
  std::deque<Probe> toProbe_;
  std::map<ConnectionId, PeerId> probing_;
  State opened_;  // what the state file had when it was opened
  DialBack dialBack_{loop_, [this] { return ConnectionId{++connections_ * 2 + 1}; }};
  std::unique_ptr<FilesWriter> writer_;
};

}  // namespace espalier::metaserver::shell
