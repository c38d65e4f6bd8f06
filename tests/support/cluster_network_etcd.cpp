// The part of ClusterNetwork that has etcd: its model, and at each metaserver what the shell does
// with the core of mastership (metaserver/core/cluster/mastership.h).
#include <fmt/format.h>

#include <array>
#include <sstream>
#include <string_view>

#include "tests/support/cluster_network.h"

namespace espalier::test {

using namespace std::chrono_literals;
namespace etcd = metaserver::cluster::etcd;
using metaserver::cluster::Candidate;
using metaserver::cluster::EtcdEffects;
using metaserver::cluster::Mastership;

namespace {

constexpr const char* kPrefix = "/espalier/";
// What a new master reads before it decides.
constexpr std::array<std::string_view, 3> kParts = {"ids/", "orders", "network"};
constexpr Duration kLate = 8s;      // a request that its sender has given up is carried out then
constexpr Duration kSlow = 1900ms;  // the latest answer to one that it has not

std::string encodeForEtcd(const Candidate& one) {
  return fmt::format("{} {} {} {} {} {} {}", one.name.text(), number(one.number), one.address.port,
                     one.started.count(), one.priority, one.peers, one.drains ? 1 : 0);
}

std::optional<Candidate> decodeOfEtcd(std::string_view value) {
  std::istringstream text{std::string(value)};
  std::string name;
  std::uint16_t number = 0;
  std::int64_t started = 0;
  int drains = 0;
  Candidate one;
  text >> name >> number >> one.address.port >> started >> one.priority >> one.peers >> drains;
  auto parsed = ServerName::parse(name);
  if (!text || !parsed) return std::nullopt;
  one.name = *std::move(parsed);
  one.number = ServerNumber{number};
  one.address.host = "127.0.0.1";
  one.started = std::chrono::milliseconds(started);
  one.drains = drains != 0;
  return one;
}

}  // namespace

struct ClusterNetwork::Etcd {
  // The answers of a watch come in the order of the changes.
  struct Watch {
    std::uint64_t number = 0;  // of the request; 0: there is none
    std::size_t told = 0;      // changes
    TimePoint arrival{};
  };
  struct Reading {
    Epoch epoch;
    metaserver::cluster::EtcdDirectory directory;
    std::size_t part = 0;
    etcd::Revision revision = 0;
  };
  // At one metaserver.
  struct Engine {
    std::optional<Mastership> core;
    std::deque<EtcdEffects> effects;  // of steps that events caused, in their order
    bool isCarryingOut = false;
    TimePoint tickAt = kNever;
    Watch watch;
    std::optional<Reading> reading;
    std::uint64_t pages = 0;
    bool isCut = false;
  };

  etcd::Model model;
  std::map<std::size_t, Engine> engines;
  TimePoint expiryAt = kNever;
  Epoch newest;  // whose master has written
};

// Here, where Etcd is complete.
ClusterNetwork::ClusterNetwork(Outside& outside, Settings settings, std::uint64_t seed)
    : outside_(outside), settings_(settings), random_(seed), ofRooms_(~seed) {}

ClusterNetwork::~ClusterNetwork() = default;

void ClusterNetwork::startEtcd(std::size_t i) {
  if (!settings_.isByEtcd) return;
  if (!etcd_) etcd_ = std::make_unique<Etcd>();
  Server& server = servers_[i];
  auto& engine = etcd_->engines[i];
  engine = {};
  Mastership::Config config;
  config.self = metaserver::cluster::candidateOf(server.core->mesh().self());
  config.rule = settings_.rule;
  config.prefix = kPrefix;
  config.codec = {encodeForEtcd, decodeOfEtcd};
  engine.core.emplace(std::move(config), localNow(server));
  stepEtcd(i, [](Mastership& core, TimePoint now, EtcdEffects& fx) { core.tick(now, fx); });
}

void ClusterNetwork::endEtcd(std::size_t i) {
  if (etcd_) etcd_->engines[i] = {};
}

void ClusterNetwork::cutEtcd(std::size_t i) {
  if (!etcd_ || !servers_[i].core) return;
  log(servers_[i], "does not reach etcd any more");
  etcd_->engines[i].isCut = true;
}

void ClusterNetwork::healEtcd() {
  if (!etcd_) return;
  for (auto& [i, engine] : etcd_->engines) engine.isCut = false;
  tellWatches();
}

void ClusterNetwork::stepEtcd(
    std::size_t i, const std::function<void(Mastership&, TimePoint, EtcdEffects&)>& event) {
  if (!etcd_ || !servers_[i].core) return;
  auto& engine = etcd_->engines[i];
  if (!engine.core) return;
  const unsigned run = servers_[i].run;
  event(*engine.core, localNow(servers_[i]), engine.effects.emplace_back());
  if (std::exchange(engine.isCarryingOut, true)) return;
  const auto lives = [&] { return servers_[i].core && servers_[i].run == run; };
  while (lives() && !engine.effects.empty()) {
    const EtcdEffects fx = std::move(engine.effects.front());
    engine.effects.pop_front();
    for (const auto& one : fx.events) {
      if (lives()) happened(i, one);
    }
    for (const auto& one : fx.requests) {
      if (lives()) requestOfEtcd(i, one);
    }
  }
  if (!lives()) return;
  engine.isCarryingOut = false;
  checkMasters();
  scheduleEtcdTick(i);
}

void ClusterNetwork::scheduleEtcdTick(std::size_t i) {
  auto& engine = etcd_->engines[i];
  const TimePoint due = std::max(global(servers_[i], engine.core->deadline()), outside_.now());
  if (engine.tickAt <= due && engine.tickAt >= outside_.now()) return;
  engine.tickAt = due;
  outside_.at(due, [this, i, due, run = servers_[i].run] {
    auto& there = etcd_->engines[i];
    if (servers_[i].run != run || !there.core || there.tickAt != due) return;
    there.tickAt = kNever;
    whenAwake(i, [this, i, run] {
      if (servers_[i].run != run) return;
      stepEtcd(i, [](Mastership& core, TimePoint now, EtcdEffects& fx) { core.tick(now, fx); });
    });
  });
}

// --- as the shell ---

void ClusterNetwork::happened(std::size_t i, const metaserver::cluster::MastershipEvent& event) {
  namespace cluster = metaserver::cluster;
  auto& engine = etcd_->engines[i];
  if (const auto* won = std::get_if<cluster::Won>(&event)) {
    log(servers_[i], "is named the master by etcd, epoch " + textOf(won->epoch));
    engine.reading = Etcd::Reading{};
    engine.reading->epoch = won->epoch;
    readEtcd(i, {});
  } else if (const auto* lost = std::get_if<cluster::Lost>(&event)) {
    log(servers_[i], "is not the master any more: " + lost->why);
    engine.reading.reset();
    step(i, [](Coordinator& core, TimePoint now, Effects& fx) { core.lost(now, fx); });
  } else if (const auto* seen = std::get_if<cluster::MasterSeen>(&event)) {
    const auto name = seen->master ? std::optional(seen->master->name) : std::nullopt;
    if (name && name->text() == servers_[i].name) return;
    step(i, [&](Coordinator& core, TimePoint now, Effects& fx) {
      core.masterSeen(name, seen->epoch, now, fx);
    });
  } else if (const auto* promised = std::get_if<cluster::Promised>(&event)) {
    if (promised->outcome == cluster::PromiseOutcome::refused) {
      outside_.fail(servers_[i].name + " promises what etcd refuses");
    }
    if (promised->outcome != cluster::PromiseOutcome::kept) return;
    step(i, [&](Coordinator& core, TimePoint now, Effects& fx) {
      core.promised(promised->number, now, fx);
    });
  } else if (const auto* page = std::get_if<cluster::PageRead>(&event)) {
    pageRead(i, *page);
  } else if (const auto* changed = std::get_if<cluster::TroubleChanged>(&event)) {
    servers_[i].core->setTrouble(changed->text);
  }
}

void ClusterNetwork::readEtcd(std::size_t i, const std::string& after) {
  auto& engine = etcd_->engines[i];
  const std::uint64_t page = ++engine.pages;
  const auto part = kParts[engine.reading->part];
  const auto at = engine.reading->revision;
  stepEtcd(i, [&](Mastership& core, TimePoint now, EtcdEffects& fx) {
    core.readPage(page, part, after, at, now, fx);
  });
}

void ClusterNetwork::pageRead(std::size_t i, const metaserver::cluster::PageRead& read) {
  auto& engine = etcd_->engines[i];
  auto& reading = engine.reading;
  if (!reading || read.number != engine.pages) return;
  if (!read.page) {
    reading.reset();
    return handOverByEtcd(i, std::nullopt);
  }
  const auto& page = *read.page;
  if (reading->revision == 0) reading->revision = page.revision;
  for (const auto& there : page.keys) {
    const auto part = std::string_view(there.key).substr(std::string_view(kPrefix).size());
    if (auto taken = metaserver::cluster::readKey(part, there.value, reading->directory); !taken) {
      outside_.fail("a key of etcd is damaged: " + taken.error().message);
    }
  }
  if (page.more && !page.keys.empty()) return readEtcd(i, page.keys.back().key);
  if (++reading->part < kParts.size()) return readEtcd(i, {});
  auto done = *std::exchange(reading, std::nullopt);
  step(i, [&](Coordinator& core, TimePoint now, Effects& fx) {
    core.won(done.epoch, std::move(done.directory), now, fx);
  });
}

void ClusterNetwork::handOverByEtcd(std::size_t i, const std::optional<ServerName>& heir) {
  stepEtcd(i,
           [&](Mastership& core, TimePoint now, EtcdEffects& fx) { core.handOver(heir, now, fx); });
}

void ClusterNetwork::promiseByEtcd(std::size_t i, const Effects& fx) {
  for (const auto& promise : fx.promises) {
    stepEtcd(i, [&](Mastership& core, TimePoint now, EtcdEffects& engine) {
      core.promise(promise.number, promise.operations, now, engine);
    });
  }
  if (fx.heir) handOverByEtcd(i, fx.heir);
}

void ClusterNetwork::tellEtcd(std::size_t i) {
  if (!etcd_) return;
  const auto peers = static_cast<std::uint32_t>(servers_[i].core->sessionCount());
  const bool drains = servers_[i].core->isDraining();
  stepEtcd(i, [&](Mastership& core, TimePoint now, EtcdEffects& fx) {
    core.setPeers(peers, drains, now, fx);
  });
}

// --- requests and answers ---

void ClusterNetwork::requestOfEtcd(std::size_t i, const etcd::Request& request) {
  auto& engine = etcd_->engines[i];
  if (const auto* watch = std::get_if<etcd::Watch>(&request.what)) {
    engine.watch = {request.number, 0, outside_.now()};
    const auto& changes = etcd_->model.changes();
    while (engine.watch.told < changes.size() &&
           changes[engine.watch.told].key.modified < watch->from) {
      ++engine.watch.told;
    }
    return tellWatches();
  }
  const auto writer = engine.core->epoch();
  const Duration there = within(settings_.leastDelay, settings_.mostDelay);
  const bool isSlow = engine.isCut && below(3) == 0;
  if (!engine.isCut || isSlow) {
    outside_.at(outside_.now() + there, [this, i, request, writer, isSlow, run = servers_[i].run] {
      answerOfEtcd(i, run, {request.number, applied(request, writer)},
                   within(settings_.leastDelay, isSlow ? kSlow : settings_.mostDelay));
    });
    return;
  }
  answerOfEtcd(i, servers_[i].run, {request.number, etcd::Failed{"no answer"}}, within(0s, 2s));
  if (chance(0.5)) return;
  outside_.at(outside_.now() + there + within(0s, kLate),
              [this, request, writer] { applied(request, writer); });
}

void ClusterNetwork::answerOfEtcd(std::size_t i, unsigned run, etcd::Answer answer,
                                  Duration delay) {
  outside_.at(outside_.now() + delay, [this, i, run, answer = std::move(answer)] {
    if (servers_[i].run != run) return;
    whenAwake(i, [this, i, run, answer] {
      if (servers_[i].run != run) return;
      stepEtcd(i, [&](Mastership& core, TimePoint now, EtcdEffects& fx) {
        core.answered(answer, now, fx);
      });
    });
  });
}

decltype(etcd::Answer::what) ClusterNetwork::applied(const etcd::Request& request,
                                                     const std::optional<Epoch>& writer) {
  auto what = etcd_->model.apply(request, outside_.now());
  const auto* done = std::get_if<etcd::TxnDone>(&what);
  if (done && done->succeeded) {
    checkWritten(std::get<etcd::Txn>(request.what), writer);
  }
  tellWatches();
  expireAtEtcd();
  return what;
}

// Leases end by themselves.
void ClusterNetwork::expireAtEtcd() {
  const TimePoint next = etcd_->model.nextExpiry();
  if (next == kNever || (etcd_->expiryAt <= next && etcd_->expiryAt > outside_.now())) return;
  etcd_->expiryAt = next;
  outside_.at(next, [this, next] {
    if (etcd_->expiryAt != next) return;
    etcd_->expiryAt = kNever;
    etcd_->model.expire(outside_.now());
    tellWatches();
    expireAtEtcd();
  });
}

void ClusterNetwork::tellWatches() {
  const auto& changes = etcd_->model.changes();
  for (auto& [i, engine] : etcd_->engines) {
    auto& [number, told, arrival] = engine.watch;
    if (!engine.core || number == 0 || engine.isCut || told == changes.size()) continue;
    etcd::Watched watched{etcd_->model.revision(), {}};
    for (; told < changes.size(); ++told) {
      if (changes[told].key.key.starts_with(engine.core->key("cluster/"))) {
        watched.changes.push_back(changes[told]);
      }
    }
    arrival = std::max(arrival, outside_.now() + within(settings_.leastDelay, settings_.mostDelay));
    answerOfEtcd(i, servers_[i].run, {number, std::move(watched)}, arrival - outside_.now());
  }
}

// --- what must hold ---

// Clocks differ by less than the margin of a lease, and this etcd keeps its leases.
void ClusterNetwork::checkMasters() {
  std::size_t masters = 0;
  for (const auto& [i, engine] : etcd_->engines) {
    if (engine.core && engine.core->isMaster(localNow(servers_[i]))) ++masters;
  }
  if (masters > 1) outside_.fail("two metaservers are the master by etcd at one moment");
}

void ClusterNetwork::checkWritten(const etcd::Txn& txn, const std::optional<Epoch>& writer) {
  for (const auto& operation : txn.then) {
    const auto& key =
        std::visit([](const auto& one) -> const std::string& { return one.key; }, operation);
    const auto part = std::string_view(key).substr(std::string_view(kPrefix).size());
    if (const auto* put = std::get_if<etcd::Put>(&operation); put && part == "cluster/epoch") {
      const Epoch epoch{static_cast<std::uint32_t>(std::stoul(put->value)), kNoServer};
      if (epoch <= etcd_->newest) outside_.fail("a mastership has no higher epoch than the last");
      etcd_->newest = epoch;
    }
    if (part == "written" || part.starts_with("cluster/")) continue;
    if (!writer || *writer < etcd_->newest) {
      outside_.fail(fmt::format("the master of epoch {} writes {} after that of epoch {}",
                                writer ? textOf(*writer) : "none", part, textOf(etcd_->newest)));
    }
  }
}

// Who is told of its admission has its id and order in etcd, and its port is taken there; of
// another member, if that one came back at the same moment: then one of the two finds it taken.
bool ClusterNetwork::isInEtcd(const std::string& part) const {
  return etcd_ && etcd_->model.keys().contains(kPrefix + part);
}

void ClusterNetwork::checkPromised(const wire::Admitted& admitted, const InstanceKey& key) {
  if (!etcd_) return;
  metaserver::cluster::EtcdDirectory there;
  for (const auto& [name, value] : etcd_->model.keys()) {
    const auto part = std::string_view(name).substr(std::string_view(kPrefix).size());
    const bool isOfId = part == "ids/" + admitted.self.id.text();
    if (isOfId || part == "orders") (void)metaserver::cluster::readKey(part, value.value, there);
  }
  const auto member = there.members.find(admitted.self.id);
  const bool isOwn = member != there.members.end() && member->second.key == key;
  // The peer has left this session, and is admitted by way of another one.
  if (isOwn && member->second.order > admitted.self.order) return;
  const bool isWritten = isOwn && member->second.order == admitted.self.order &&
                         admitted.self.order <= there.ordersUpTo;
  const auto port = etcd_->model.keys().find(kPrefix + ("ports/" + admitted.self.endpoint.text()));
  if (isWritten && port != etcd_->model.keys().end()) return;
  outside_.fail(fmt::format("{} is told of its admission, and etcd does not have its {}",
                            admitted.self.id.text(), isWritten ? "port" : "id and order"));
}

}  // namespace espalier::test
