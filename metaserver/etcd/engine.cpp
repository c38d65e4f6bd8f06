#include "metaserver/etcd/engine.h"

#include <fmt/format.h>

#include <utility>

#include "metaserver/etcd/json.h"

namespace espalier::metaserver::etcd {

Engine::Engine(cluster::Mastership::Config config, Handler handler)
    : core_(std::move(config), Clock::now()), handler_(std::move(handler)) {}

Result<std::unique_ptr<Engine>> Engine::start(Config config, net::EventLoop& loop,
                                              Handler handler) {
  cluster::Mastership::Config core{std::move(config.self),
                                   config.rule,
                                   std::move(config.prefix),
                                   {encodeCandidate, decodeCandidate}};
  std::unique_ptr<Engine> engine(new Engine(std::move(core), std::move(handler)));
  auto client = Client::start(config.etcd, loop, [raw = engine.get()](const auto& answer) {
    raw->step([&](auto& one, TimePoint now, auto& fx) { one.answered(answer, now, fx); });
  });
  if (!client) return client.error();
  engine->client_ = *std::move(client);
  engine->tick(Clock::now());
  return engine;
}

// Events before requests, steps in their order.
template <typename Event>
void Engine::step(Event event) {
  event(core_, Clock::now(), effects_.emplace_back());
  if (std::exchange(isCarryingOut_, true)) return;
  while (!effects_.empty()) {
    cluster::EtcdEffects fx = std::move(effects_.front());
    effects_.pop_front();
    for (const auto& one : fx.events) handler_(one);
    for (auto& one : fx.requests) client_->send(std::move(one));
  }
  isCarryingOut_ = false;
}

void Engine::promise(std::uint64_t number, std::vector<cluster::etcd::Operation> operations) {
  step([&](auto& core, TimePoint now, auto& fx) {
    core.promise(number, std::move(operations), now, fx);
  });
}

void Engine::readPage(std::uint64_t number, std::string_view part, std::string_view after,
                      cluster::etcd::Revision at) {
  step([&](auto& core, TimePoint now, auto& fx) {
    core.readPage(number, part, after, at, now, fx);
  });
}

void Engine::setPeers(std::uint32_t peers, bool drains) {
  step([&](auto& core, TimePoint now, auto& fx) { core.setPeers(peers, drains, now, fx); });
}

void Engine::handOver(std::optional<ServerName> heir) {
  step([&](auto& core, TimePoint now, auto& fx) { core.handOver(std::move(heir), now, fx); });
}

void Engine::leave() {
  step([](auto& core, TimePoint now, auto& fx) { core.leave(now, fx); });
}

void Engine::tick(TimePoint now) {
  if (now < core_.deadline()) return;
  step([](auto& core, TimePoint at, auto& fx) { core.tick(at, fx); });
}

std::string Engine::waiting() const {
  if (core_.trouble().empty()) return {};
  return fmt::format("waiting for etcd at {}: {}", client_->urlsText(), core_.trouble());
}

}  // namespace espalier::metaserver::etcd
