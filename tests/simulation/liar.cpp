#include "tests/simulation/liar.h"

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "tests/simulation/world_parts.h"

namespace espalier::simulation {

using namespace std::chrono_literals;

namespace {

constexpr std::array<const char*, 9> kNames = {"hits",   "coverage", "ledger", "offers", "attaches",
                                               "gossip", "registry", "labels", "mute"};

constexpr auto kLieLeast = 30ms;
constexpr auto kLieMost = 500ms;
constexpr auto kOwnKept = 8s;  // of a connection that it dialled
constexpr std::size_t kOwnConnections = 6;
constexpr std::size_t kQueriesKnown = 8;

}  // namespace

std::optional<std::set<Lie>> parseLies(const std::string& names) {
  std::set<Lie> lies;
  std::istringstream text(names);
  for (std::string name; std::getline(text, name, ',');) {
    const auto* const found = std::find(kNames.begin(), kNames.end(), name);
    if (found == kNames.end()) return std::nullopt;
    lies.insert(static_cast<Lie>(found - kNames.begin()));
  }
  return lies;
}

std::string describe(const std::set<Lie>& lies) {
  std::string text;
  for (const Lie lie : lies) {
    text += (text.empty() ? "" : ",") + std::string(kNames[static_cast<std::size_t>(lie)]);
  }
  return text;
}

Liar::Liar(World& world, NodeId self)
    : world_(world),
      self_(self),
      lies_(facts_, [&world](std::uint64_t bound) { return world.below(bound); }) {
  facts_.name = World::fileOf("{}");
}

bool Liar::tells(Lie lie) const {
  const auto& node = world_.node(self_);
  return world_.lying_ && node.conduct.lies.contains(lie);
}

void Liar::begin() {
  world_.later(world_.node(self_), world_.now() + kLieLeast, [this] { lieAndGoOn(); });
}

void Liar::lieAndGoOn() {
  learn();
  if (world_.lying_) lieOnce();
  hangUp();
  const auto spread = std::chrono::milliseconds(kLieMost - kLieLeast);
  const auto pause = kLieLeast + std::chrono::milliseconds(
                                     world_.below(static_cast<std::uint64_t>(spread.count())));
  world_.later(world_.node(self_), world_.now() + pause, [this] { lieAndGoOn(); });
}

// Looks around.
void Liar::learn() {
  facts_.network = world_.disk_.network;
  facts_.members.clear();
  facts_.self = {*PeerId::parse(world_.id(self_)), JoinOrder{1}, {"127.0.0.1", 9}};
  for (const NodeId other : world_.living()) {
    const auto* tree = world_.peer(other).tree();
    if (tree == nullptr) continue;
    facts_.members.push_back(tree->self());
    if (other != self_) continue;
    facts_.self = tree->self();
    facts_.label = tree->label();
  }
  if (facts_.members.empty()) facts_.members.push_back(facts_.self);
  facts_.pushes.clear();
  for (const auto& push : world_.pushes()) {
    wire::PushOffer offer;
    offer.id = push.id;
    facts_.pushes.push_back(offer);
  }
}

void Liar::lieOnce() {
  if (tells(Lie::hits) || tells(Lie::coverage)) {
    auto answer = lies_.answer();
    if (!tells(Lie::hits)) answer.hits.clear();
    if (!tells(Lie::coverage)) {
      answer.coverage.clear();
      answer.missing.clear();
      answer.indexing.clear();
      answer.done = false;
    }
    if (world_.below(4) == 0) toAsker(std::move(answer));
  }
  if (tells(Lie::ledger) && world_.below(2) == 0) overLink(lies_.ledger());
  if (tells(Lie::offers) && world_.below(8) == 0) overLink(lies_.offer());
  if (tells(Lie::gossip) && world_.below(2) == 0) overLink(lies_.gossip());
  if (tells(Lie::labels) && world_.below(4) == 0) overLink(lies_.heartbeat());
  if (tells(Lie::attaches)) {
    if (world_.below(4) == 0) dial();
    overOwn();
  }
  if (tells(Lie::registry)) toRegistry();
}

// Over the link that a search came on. To any other neighbour an answer says that the way to the
// asker is lost, which hides what lies behind the liar.
void Liar::toAsker(wire::Answer answer) {
  if (asked_.empty()) return;
  const auto& [id, link] = asked_[world_.below(asked_.size())];
  answer.id = id;
  world_.transmit(self_, link, wire::LinkMessage(std::move(answer)));
}

// Over a random link of its core.
void Liar::overLink(wire::LinkMessage message) {
  const auto* tree = world_.peer(self_).tree();
  if (tree == nullptr) return;
  const auto links = tree->neighbours();
  if (links.empty()) return;
  world_.transmit(self_, links[world_.below(links.size())].connection, std::move(message));
}

// --- what its core says and hears

bool Liar::pass(wire::LinkMessage& message) {
  if (tells(Lie::mute) && (std::holds_alternative<wire::Query>(message) ||
                           std::holds_alternative<wire::Answer>(message)))
    return false;
  if (auto* answer = std::get_if<wire::Answer>(&message)) {
    if (facts_.members.empty()) return true;
    if (tells(Lie::hits)) lies_.addHits(*answer);
    if (tells(Lie::coverage)) lies_.addCoverage(*answer);
  }
  if (auto* accepted = std::get_if<wire::Accepted>(&message)) {
    if (!tells(Lie::gossip) || facts_.members.empty()) return true;
    accepted->lineage.ancestors = lies_.contacts(limits::kContacts - limits::kRootChildren);
    accepted->lineage.rootChildren = lies_.contacts(limits::kRootChildren);
  }
  if (auto* referred = std::get_if<wire::Referred>(&message)) {
    // A loop: it refers to itself, and to peers that refer to it.
    if (!tells(Lie::gossip) || facts_.members.empty()) return true;
    referred->candidates = lies_.contacts(limits::kMaxLinks);
    referred->candidates.push_back(facts_.self);
  }
  return true;
}

void Liar::hear(ConnectionId link, const wire::LinkMessage& message) {
  const auto* query = std::get_if<wire::Query>(&message);
  if (query == nullptr) return;
  asked_.emplace_back(query->id, link);
  if (asked_.size() > kQueriesKnown) asked_.pop_front();
}

// --- its own connections

void Liar::dial() {
  if (own_.size() >= kOwnConnections) return;
  const auto target = lies_.member();
  if (target.id == facts_.self.id) return;
  const auto connection = world_.dialLie(self_, target.endpoint, wire::Purpose::link);
  Own& own = own_[connection];
  own.until = world_.now() + kOwnKept;
  own.target = target.id;
}

void Liar::opened(ConnectionId connection) {
  const auto found = own_.find(connection);
  if (found == own_.end()) return;
  found->second.isOpen = true;
  if (found->second.toRegistry) {
    world_.transmit(self_, connection, wire::RegistryRequest(lies_.join()));
  } else {
    found->second.attach = lies_.attach();
    world_.transmit(self_, connection, wire::LinkMessage(found->second.attach));
  }
}

void Liar::answered(ConnectionId connection, const wire::LinkMessage& message) {
  const auto found = own_.find(connection);
  const auto* accepted = std::get_if<wire::Accepted>(&message);
  if (found == own_.end() || accepted == nullptr) return;
  auto& own = found->second;
  own.isChild = true;
  const auto by = world_.named(accepted->self.id.text());
  if (!by || !world_.isHonest(*by)) return;
  if (own.attach.network != facts_.network) {
    world_.fail(fmt::format("{} accepts a joiner of another network", world_.id(*by)));
  }
  if (own.attach.self.id == accepted->self.id) {
    world_.fail(fmt::format("{} accepts a joiner under its own id", world_.id(*by)));
  }
}

// Speaks as the child that it is there.
void Liar::overOwn() {
  for (const auto& [connection, own] : own_) {
    if (!own.isOpen || own.toRegistry || !own.isChild || world_.below(2) == 0) continue;
    world_.transmit(self_, connection, lies_.gossip());
  }
}

void Liar::hangUp() {
  for (auto own = own_.begin(); own != own_.end();) {
    const auto [connection, state] = *own++;
    if (world_.lying_ && world_.now() < state.until) continue;
    own_.erase(connection);
    world_.closeEnd(self_, connection);
  }
}

void Liar::toRegistry() {
  const auto& session = world_.peer(self_).membership().session();
  switch (world_.below(6)) {
    case 0:
      if (own_.size() < kOwnConnections) {
        Own own;
        own.toRegistry = true;
        own.until = world_.now() + 1s;
        own_[world_.dialLie(self_, {"127.0.0.1", 5000}, wire::Purpose::registry)] = own;
      }
      return;
    case 1:
      if (!session.joined()) return;
      return world_.transmit(self_, *session.connection(), wire::RegistryRequest(lies_.links()));
    case 2:
      if (!session.joined()) return;
      return world_.transmit(self_, *session.connection(), wire::RegistryRequest(lies_.seek()));
    default:
      return;
  }
}

}  // namespace espalier::simulation
