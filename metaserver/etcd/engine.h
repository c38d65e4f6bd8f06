// Mastership by etcd in a program: the core (mastership.h) and the client (client.h) on one event
// loop.
//
//   start() --> candidate <--> master --leave()--> Left, then it may be destroyed
//
// Thread rule: everything, and the handler, on the loop's thread. The handler may call this
// engine, but not destroy it. Nothing blocks; the threads are the client's. The owner calls tick()
// once deadline() has passed, and after every call of another function here asks deadline() again.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/net/event_loop.h"
#include "metaserver/core/cluster/mastership.h"
#include "metaserver/etcd/client.h"

namespace espalier::metaserver::etcd {

class Engine {
 public:
  struct Config {
    Client::Config etcd;
    cluster::Candidate self;
    cluster::ElectionRule rule{};
    std::string prefix = "/espalier/";
  };
  using Handler = std::function<void(const cluster::MastershipEvent&)>;

  static Result<std::unique_ptr<Engine>> start(Config config, net::EventLoop& loop,
                                               Handler handler);

  // Each as in mastership.h.
  void promise(std::uint64_t number, std::vector<cluster::etcd::Operation> operations);
  void readPage(std::uint64_t number, std::string_view part, std::string_view after,
                cluster::etcd::Revision at);
  void setPeers(std::uint32_t peers, bool drains);
  void handOver(std::optional<ServerName> heir);
  void leave();

  void tick(TimePoint now);
  TimePoint deadline() const { return core_.deadline(); }
  bool isMaster() const { return core_.isMaster(Clock::now()); }
  const cluster::Mastership& core() const { return core_; }
  // "waiting for etcd at http://a:2379, http://b:2379: REASON"; empty without trouble.
  std::string waiting() const;

 private:
  Engine(cluster::Mastership::Config config, Handler handler);
  template <typename Event>
  void step(Event event);

  cluster::Mastership core_;
  Handler handler_;
  std::unique_ptr<Client> client_;
  std::deque<cluster::EtcdEffects> effects_;  // of steps that the handler caused, in their order
  bool isCarryingOut_ = false;
};

}  // namespace espalier::metaserver::etcd
