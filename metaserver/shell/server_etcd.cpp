// The part of Server that lets etcd say who is the master, and writes there what is decided.
#include <fmt/format.h>

#include <array>
#include <utility>

#include "common/base/log.h"
#include "metaserver/shell/server.h"

namespace espalier::metaserver::shell {
namespace {

using Coordinator = cluster::Coordinator;

// What a new master reads before it decides.
constexpr std::array<std::string_view, 3> kParts = {"ids/", "orders", "network"};

}  // namespace

Result<void> Server::startEngine() {
  if (options_.coordination.isBuiltIn()) return {};
  etcd::Engine::Config config;
  config.etcd.urls = options_.coordination.etcd;
  config.etcd.caFile = options_.etcdCaFile;
  config.self = coordinator_.with(
      [](auto& coordinator) { return cluster::candidateOf(coordinator->mesh().self()); });
  config.rule = options_.election.rule;
  config.prefix = options_.etcdPrefix;
  auto engine =
      etcd::Engine::start(std::move(config), loop_, [this](const auto& event) { happened(event); });
  if (!engine) return engine.error();
  engine_ = std::move(*engine);
  trouble_.with([&](std::string& trouble) { trouble = "waiting for etcd"; });
  return {};
}

void Server::happened(const cluster::MastershipEvent& event) {
  if (const auto* won = std::get_if<cluster::Won>(&event)) {
    log::info("etcd names this metaserver the master (epoch {})", won->epoch.counter);
    reading_.emplace();
    reading_->epoch = won->epoch;
    readNext({});
  } else if (const auto* lost = std::get_if<cluster::Lost>(&event)) {
    log::warning("not the master any more: {}", lost->why);
    reading_.reset();
    step([](Coordinator& coordinator, TimePoint now, auto& fx) { coordinator.lost(now, fx); });
  } else if (const auto* seen = std::get_if<cluster::MasterSeen>(&event)) {
    if (engine_->waiting().empty()) trouble_.with([](std::string& trouble) { trouble.clear(); });
    // This one decides once it has read everything.
    const bool isSelf = seen->master && seen->master->name == options_.name;
    if (isSelf) return;
    step([&](Coordinator& coordinator, TimePoint now, auto& fx) {
      const auto name = seen->master ? std::optional(seen->master->name) : std::nullopt;
      coordinator.masterSeen(name, seen->epoch, now, fx);
    });
  } else if (const auto* promised = std::get_if<cluster::Promised>(&event)) {
    if (promised->outcome == cluster::PromiseOutcome::refused) {
      log::error("what is decided cannot be written to etcd: another metaserver is to decide");
      engine_->handOver(std::nullopt);
    }
    if (promised->outcome != cluster::PromiseOutcome::kept) return;  // mastership ends, too
    step([&](Coordinator& coordinator, TimePoint now, auto& fx) {
      coordinator.promised(promised->number, now, fx);
    });
  } else if (const auto* page = std::get_if<cluster::PageRead>(&event)) {
    pageRead(*page);
  } else if (const auto* changed = std::get_if<cluster::TroubleChanged>(&event)) {
    const std::string waiting = changed->text.empty() ? "" : engine_->waiting();
    const auto before =
        trouble_.with([&](std::string& trouble) { return std::exchange(trouble, waiting); });
    if (waiting.empty()) {
      log::info("etcd answers");
    } else if (before.empty() || isEtcdNew_) {  // the reasons may alternate
      log::warning("{}", waiting);
    }
    isEtcdNew_ = false;
    coordinator_.with([&](auto& coordinator) { coordinator->setTrouble(waiting); });
  }
}

void Server::readNext(std::string_view after) {
  engine_->readPage(++pages_, kParts[reading_->part], after, reading_->revision);
}

void Server::pageRead(const cluster::PageRead& read) {
  if (!reading_ || read.number != pages_) return;
  const auto giveUp = [&](const std::string& why) {
    log::error("cannot read what was promised in etcd: {}", why);
    reading_.reset();
    engine_->handOver(std::nullopt);
  };
  if (!read.page) return giveUp(read.page.error().message);
  const auto& page = *read.page;
  if (reading_->revision == 0) reading_->revision = page.revision;
  const std::size_t prefixBytes = options_.etcdPrefix.size();
  for (const auto& [key, value, created, modified, lease] : page.keys) {
    const auto part = std::string_view(key).substr(prefixBytes);
    if (auto taken = cluster::readKey(part, value, reading_->directory); !taken) {
      return giveUp(taken.error().message);
    }
  }
  if (page.more && !page.keys.empty()) return readNext(page.keys.back().key);
  if (++reading_->part < kParts.size()) return readNext({});
  auto done = *std::exchange(reading_, std::nullopt);
  step([&](Coordinator& coordinator, TimePoint now, auto& fx) {
    coordinator.won(done.epoch, std::move(done.directory), now, fx);
  });
}

}  // namespace espalier::metaserver::shell
