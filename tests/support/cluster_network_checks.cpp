// The part of ClusterNetwork that judges: what must hold after each step, and at rest.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "tests/support/cluster_network.h"
#include "topo/topo_file.h"

namespace espalier::test {

using namespace std::chrono_literals;
using metaserver::MemberRow;

namespace {

constexpr std::uint64_t kThorough = 16;  // steps of a metaserver
constexpr Duration kHomesNoted = 5s;
// Members that do not come back are removed after 10 s of the decider's own time, without its
// stalls.
constexpr Duration kAwayMost = 60s;

}  // namespace

// --- what must hold at every moment ---

void ClusterNetwork::check(std::size_t i) {
  Server& server = servers_[i];
  if (++server.steps % kThorough == 0) checkThoroughly(server);
  if (outside_.isLogged()) logStanding(server);
  const auto have = server.core->have();
  if (have.epoch < server.haveEpoch) {
    outside_.fail(fmt::format("{} had the directory of epoch {}, and has that of {} now",
                              server.name, textOf(server.haveEpoch), textOf(have.epoch)));
  }
  if (have.epoch != server.haveEpoch) server.awaySince.clear();
  server.haveEpoch = have.epoch;
  checkOwnSide(i);
  if (server.core->isSingle() || have.epoch == Epoch()) return;
  if (server.core->registry()) {
    const auto [decider, isNew] = deciders_.try_emplace(have.epoch, i, server.run);
    if (decider->second != std::pair(i, server.run)) {
      outside_.fail(fmt::format("{} decides in epoch {} of {}", server.name, textOf(have.epoch),
                                servers_[decider->second.first].name));
    }
    if (!settings_.isByEtcd && server.disk.durable.epoch < have.epoch) {
      outside_.fail(server.name + " decides in an epoch that it has not written down");
    }
    const auto last = number(server.core->registry()->nextOrder()) - 1;
    if (!settings_.isByEtcd && last > number(server.disk.durable.ordersUpTo)) {
      outside_.fail(server.name + " has given orders that it has not reserved");
    }
  }
  const auto& directory = server.core->directory();
  checkVersion(directory.summary(have), directory.copy().rows().size(), server.name,
               server.core->registry() != nullptr);
}

void ClusterNetwork::checkThoroughly(Server& server) {
  if (auto sound = server.core->checkInvariants(); !sound) {
    outside_.fail(server.name + ": " + sound.error().message);
  }
  if (server.core->registry() && !server.core->isSingle()) checkHomes(server);
}

// Of the members, as the decider has them.
void ClusterNetwork::checkHomes(Server& server) {
  std::set<ServerNumber> reached;
  for (const auto& row : server.core->servers()) reached.insert(row.state.number);
  const MemberRow* wrong = nullptr;
  auto before = std::exchange(server.awaySince, {});
  for (const auto& [order, row] : server.core->directory().copy().rows()) {
    if (row->home != kNoServer) {
      if (!reached.contains(row->home)) wrong = row.get();
      continue;
    }
    const auto since = before.find(order);
    const TimePoint away = since == before.end() ? outside_.now() : since->second;
    server.awaySince[order] = away;
    if (away + kAwayMost < outside_.now()) {
      outside_.fail(
          fmt::format("{} is away, and {} keeps it", row->contact.id.text(), server.name));
    }
  }
  if (!wrong) return server.homesWrongSince.reset();
  if (!server.homesWrongSince) server.homesWrongSince = outside_.now();
  if (*server.homesWrongSince + kHomesNoted < outside_.now()) {
    outside_.fail(fmt::format("the home of {} is number {}, which {} does not reach",
                              wrong->contact.id.text(), number(wrong->home), server.name));
  }
}

// The peer ends its connection once it has another home.
void ClusterNetwork::checkRedirects(const Server& server, const Effects& fx) {
  for (const auto& send : fx.peers.sends) {
    if (!std::holds_alternative<wire::Redirect>(send.reply)) continue;
    if (std::ranges::count(fx.peers.closes, send.to) == 0) continue;
    outside_.fail(server.name + " redirects a peer, and does not wait until it has gone");
  }
}

// Offered by who decides nothing any more, or answered by who has taken over.
void ClusterNetwork::checkHandover(std::size_t from, ServerNumber to,
                                   const wire::Handover& handover) {
  Server& server = servers_[from];
  const auto* registry = server.core->registry();
  if (registry == nullptr) return;
  const bool isOffer = handover.last.epoch == server.core->have().epoch;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (servers_[i].number != to || !servers_[i].core) continue;
    if (isOffer) {
      // One that is repeated after it was answered hands nothing over: members may have died since.
      if (!taken_.contains({from, handover.last.epoch}))
        servers_[i].handed[from] = {handover.last.epoch, registry->rows()};
    } else if (const auto side = server.handed.find(i);
               side != server.handed.end() && side->second.epoch == handover.last.epoch) {
      checkSide(server, side->second, servers_[i].name);
      taken_.insert({i, handover.last.epoch});
      server.handed.erase(side);
    }
  }
  if (!isOffer) return;
  const auto rows = registry->rows();
  const auto& published = server.core->directory().copy().rows();
  const bool isSame = std::equal(rows.begin(), rows.end(), published.begin(), published.end(),
                                 [](const auto& a, const auto& b) { return a == *b.second; });
  if (!isSame) outside_.fail(server.name + " hands over, and not all that it has decided");
}

// Before a step in which it may take over, or stop deciding.
void ClusterNetwork::noteOwnSide(Server& server) const {
  server.own.reset();
  if (!server.core->registry() || server.core->isSingle()) return;
  server.own = Side{server.core->have().epoch, {}};
  if (server.handed.empty()) return;
  server.own->rows = server.core->registry()->rows();
  // Whoever is away may be removed in this step.
  std::erase_if(server.own->rows, [](const auto& row) { return row.home == kNoServer; });
}

void ClusterNetwork::checkOwnSide(std::size_t i) {
  const Server& server = servers_[i];
  if (!server.own || settings_.isByEtcd) return;
  if (server.core->registry()) {
    if (server.core->have().epoch != server.own->epoch) checkSide(server, *server.own, "itself");
  } else if (!taken_.contains({i, server.own->epoch})) {
    outside_.fail(server.name + " stops deciding, and nobody has taken its members over");
  }
}

void ClusterNetwork::checkSide(const Server& server, const Side& side, const std::string& of) {
  std::set<JoinOrder> orders;
  std::set<InstanceKey> keys;
  std::set<PeerId> ids;
  for (const auto& [order, row] : server.core->directory().copy().rows()) {
    orders.insert(order);
    keys.insert(row->key);
    ids.insert(row->contact.id);
  }
  for (const auto& row : side.rows) {
    // A peer that has joined again elsewhere has another order; one of two of one id has none; and
    // one that leaves may do so in this step.
    const bool isThere = orders.contains(row.contact.order) || keys.contains(row.key) ||
                         ids.contains(row.contact.id) || quitters_.contains(row.key);
    if (isThere) continue;
    outside_.fail(
        fmt::format("{} takes over from {} without {}", server.name, of, row.contact.id.text()));
  }
}

void ClusterNetwork::logStanding(Server& server) {
  const auto now = fmt::format(
      "{}, has epoch {}, {} members, master \"{}\"",
      server.core->registry() ? "decides" : "does not decide", textOf(server.core->have().epoch),
      server.core->directory().count() == 0 ? "no" : "has", server.core->standing().master.text());
  if (now != server.standing) log(server, now);
  server.standing = now;
}

void ClusterNetwork::checkVersion(const wire::DirectorySummary& summary, std::size_t count,
                                  const std::string& of, bool isSource) {
  const auto [version, isNew] = versions_.try_emplace(
      {summary.version.epoch, summary.version.sequence}, Version{summary.count, summary.digest});
  if (isNew && !isSource) {
    outside_.fail(fmt::format("{} has version {} of epoch {}, which its source never had", of,
                              summary.version.sequence, textOf(summary.version.epoch)));
  }
  if (count != version->second.count || summary.digest != version->second.digest) {
    outside_.fail(fmt::format(
        "{}: version {} of epoch {} has {} members, and not the {} that it has "
        "elsewhere",
        of, summary.version.sequence, textOf(summary.version.epoch), count, version->second.count));
  }
}

// A message of an epoch of this metaserver's own.
void ClusterNetwork::checkMessage(std::size_t i, const wire::ClusterMessage& message) {
  const Server& server = servers_[i];
  const auto named = [&](const Epoch& epoch) {
    if (epoch.number != server.number || epoch <= server.disk.durable.epoch) return;
    outside_.fail(
        fmt::format("{} names epoch {} before it is durable", server.name, textOf(epoch)));
  };
  const auto said = [&](const wire::DirectorySummary& summary) {
    named(summary.version.epoch);
    checkVersion(summary, summary.count, server.name, true);
  };
  if (const auto* pull = std::get_if<wire::Pull>(&message)) {
    log(server, fmt::format("pulls {} of {}", pull->have.sequence, textOf(pull->have.epoch)));
  }
  const auto& network = server.core->moment().network;
  if (const auto* beat = std::get_if<wire::Beat>(&message)) named(beat->own.epoch);
  if (const auto* delta = std::get_if<wire::Delta>(&message)) {
    said(delta->after);
    for (const auto& row : delta->rows) {
      checkRow(network, *row);
      published_.try_emplace({delta->after.version.epoch, row->contact.order},
                             delta->after.version.sequence);
    }
  }
  if (const auto* have = std::get_if<wire::Have>(&message)) {
    auto& acknowledged = acknowledged_[have->version.epoch];
    acknowledged = std::max(acknowledged, have->version.sequence);
  }
  if (const auto* page = std::get_if<wire::SnapshotPage>(&message)) {
    said(page->of);
    for (const auto& row : page->rows) checkRow(network, *row);
  }
  if (const auto* position = std::get_if<wire::Position>(&message)) said(position->of);
  if (const auto* answers = std::get_if<wire::SessionAnswers>(&message)) named(answers->epoch);
}

void ClusterNetwork::checkRow(const wire::NetworkId& network, const MemberRow& row) {
  if (row.generation != 0 && row.home != kNoServer) {
    const auto [home, isFirst] =
        homes_.try_emplace({network, row.contact.order, row.generation}, row.home);
    if (home->second != row.home) {
      outside_.fail(fmt::format("{} has two homes in its generation {}", row.contact.id.text(),
                                row.generation));
    }
  }
  const auto [owner, isNew] = owners_.try_emplace({network, row.contact.order}, row.key);
  if (owner->second == row.key) return;
  outside_.fail(fmt::format("the order {} was given twice, now to {}", number(row.contact.order),
                            row.contact.id.text()));
}

void ClusterNetwork::checkAdmitted(std::size_t i, ConnectionId connection,
                                   const wire::Admitted& admitted) {
  const auto join = joins_.find({i, connection});
  if (join == joins_.end() || !outside_.isRead(i, connection)) return;
  metaserver::MemberRow row;
  row.contact = admitted.self;
  row.key = join->second.key;
  checkRow(admitted.network, row);
  checkPromised(admitted, row.key);
  if (join->second.order == admitted.self.order) return;  // it comes back
  const Epoch epoch = servers_[i].core->have().epoch;
  const Told now{{i, servers_[i].run}, connection, join->second.key, epoch};
  const auto published = published_.find({servers_[i].core->have().epoch, admitted.self.order});
  if (published != published_.end() && servers_[i].core->isFollowed() &&
      acknowledged_[published->first.first] < published->second) {
    outside_.fail(
        fmt::format("{} is admitted, and no other metaserver knows it", admitted.self.id.text()));
  }
  const auto [told, isNew] = told_.try_emplace({admitted.network, admitted.self.order}, now);
  const auto& [by, to, key, before] = told->second;
  if (by == now.by && to == now.to) return;
  // A peer that started again, whose former process the next master took for the same.
  if (key == now.key && before != epoch) return;
  outside_.fail(fmt::format("the order {} of a newcomer, {}, was given before",
                            number(admitted.self.order), admitted.self.id.text()));
}

// --- at rest ---

std::optional<std::size_t> ClusterNetwork::master() const {
  std::optional<std::size_t> master;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (!servers_[i].core) continue;
    const auto its = at(servers_[i].core->standing().masterAddress);
    if (!its || (master && master != its)) return std::nullopt;
    master = its;
  }
  return master;
}

std::optional<std::string> ClusterNetwork::judge() const {
  std::vector<std::size_t> there;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (servers_[i].core) there.push_back(i);
  }
  if (there.empty()) return std::nullopt;
  const auto& first = *servers_[there.front()].core;
  if (there.size() == 1) {
    if (!first.standing().master.empty()) return "a metaserver that is alone has a master";
    return first.registry() ? std::nullopt : std::optional("a metaserver that is alone waits");
  }
  const auto chief = master();
  if (!chief) return "the metaservers do not agree on a master";
  for (const std::size_t i : there) {
    const Server& server = servers_[i];
    const auto standing = server.core->standing();
    if (standing.isMaster != (i == chief) || (server.core->registry() != nullptr) != (i == chief)) {
      return server.name + " decides, or does not, otherwise than as all say";
    }
    if (server.core->have() != first.have()) {
      return fmt::format("{} has version {} of epoch {}, {} has {} of {}", server.name,
                         server.core->have().sequence, textOf(server.core->have().epoch),
                         servers_[there.front()].name, first.have().sequence,
                         textOf(first.have().epoch));
    }
    if (server.core->directory().sum() != first.directory().sum()) return "digests differ";
    const auto text = [](const Coordinator& core) {
      return topo::format(core.directory().copy().lines());
    };
    if (text(*server.core) != text(first)) return "the texts for topo.txt differ";
  }
  return std::nullopt;
}

std::string ClusterNetwork::describe() const {
  constexpr const char* kRoles[] = {"single", "starting", "following", "deciding"};
  std::string text;
  for (const Server& server : servers_) {
    if (!server.core) {
      text += server.name + " does not run\n";
      continue;
    }
    const auto standing = server.core->standing();
    text += fmt::format("{} ({}) {}, master \"{}\", epoch {}\n", server.name, number(server.number),
                        kRoles[static_cast<int>(standing.role)], standing.master.text(),
                        textOf(standing.epoch));
    for (const auto& [state, isSelf, isMaster, behind, hops] : server.core->servers()) {
      text +=
          fmt::format("  {} epoch {} has {} of {}{}{}{}, hops {}, started {}\n", state.name.text(),
                      textOf(state.epoch), state.have.sequence, textOf(state.have.epoch),
                      state.isFounded ? ", founded" : "", state.drains ? ", drains" : "",
                      state.appointed ? ", appointed" : "", hops, state.started.count());
    }
  }
  return text;
}

}  // namespace espalier::test
