#include "peer/shell/push_report.h"

#include <algorithm>
#include <set>
#include <utility>

namespace espalier::peer::shell {
namespace {

using State = PushedPeer::State;
using wire::PushState;

PushedPeer peerOf(const PeerId& id, const std::optional<wire::PushEntry>& entry, bool present) {
  PushedPeer peer{id, State::waiting, {}};
  const auto state = entry ? entry->state : PushState::offered;
  switch (state) {
    case PushState::offered:
      peer.state = present ? State::waiting : State::outOfReach;
      break;
    case PushState::accepted:
      peer.state = present ? State::receiving : State::outOfReach;
      break;
    case PushState::lost:
      peer.state = State::outOfReach;
      break;
    case PushState::failed:
      peer.state = State::failed;
      peer.reason = entry->reason;
      break;
    case PushState::declined:
      peer.state = State::declined;
      peer.reason = entry->reason;
      break;
    case PushState::verified:
      peer.state = State::verified;
      break;
  }
  return peer;
}

// What counts of what the links tell about a peer.
struct Told {
  std::optional<wire::PushEntry> entry;
  bool isDoubted = false;
};

Told toldOf(const Pushes::View& view, const PeerId& id, const PushWays& ways) {
  const auto known = view.ledger.find(id);
  if (!known) return {};
  const auto* const teller = view.tellers.teller(known->index());
  const auto* const claims = view.tellers.claims(known->index());
  const auto way = ways.find(id);
  if (claims == nullptr) {
    return {known->whole(), teller != nullptr && way != ways.end() && way->second != *teller};
  }
  if (way != ways.end()) {
    // It has moved to a link that tells nothing: the neighbours there know that we know.
    const auto claim = claims->find(way->second);
    if (claim == claims->end()) return {known->whole(), true};
    return {claim->second};
  }
  const auto verified = std::count_if(claims->begin(), claims->end(), [](const auto& each) {
    return each.second.state == PushState::verified;
  });
  auto entry = known->whole();
  const bool differ = verified > 0 && static_cast<std::size_t>(verified) < claims->size();
  if (differ) {
    entry.state = PushState::failed;
    entry.reason = "its neighbours tell different things about it";
  }
  return {std::move(entry), differ};
}

}  // namespace

PushWays pushWays(const std::vector<wire::TopologyEntry>& topology, const PeerId& self) {
  std::map<PeerId, const wire::TopologyEntry*> entries;
  for (const auto& entry : topology) entries[entry.member.id] = &entry;
  PushWays ways;
  std::vector<PeerId> reached;
  const auto reach = [&](const PeerId& peer, const PeerId& way) {
    if (peer != self && ways.try_emplace(peer, way).second) reached.push_back(peer);
  };
  const auto neighboursOf = [&](const PeerId& peer) {
    const auto entry = entries.find(peer);
    return entry == entries.end() ? std::vector<PeerId>() : entry->second->neighbours;
  };
  for (const auto& neighbour : neighboursOf(self)) reach(neighbour, neighbour);
  for (std::size_t at = 0; at < reached.size(); ++at) {
    const PeerId way = ways.at(reached[at]);
    for (const auto& next : neighboursOf(reached[at])) reach(next, way);
  }
  return ways;
}

PushReport pushReport(const Pushes::View& view, const std::optional<std::vector<PeerId>>& members,
                      const PushWays& ways, const std::set<PeerId>& believed) {
  PushReport report;
  report.id = view.offer.id;
  report.sender = view.offer.sender.id;
  report.over = view.offer.end != wire::PushEnd::open;
  for (const auto& file : view.offer.files) {
    report.files.push_back({file.name, file.sizeBytes, file.root});
    report.sizeBytes += file.sizeBytes;
  }
  const std::set<PeerId> meant(view.offer.to.begin(), view.offer.to.end());
  std::set<PeerId> told{report.sender};
  const auto tell = [&](const PeerId& id, bool present) {
    if ((!meant.empty() && !meant.contains(id)) || !told.insert(id).second) return;
    auto what = toldOf(view, id, ways);
    // While it is no member the tree cannot tell which link leads to it.
    if (what.isDoubted && !(present && believed.contains(id))) {
      report.doubted.push_back(id);
      if (what.entry->state > PushState::lost) what.entry->state = PushState::accepted;
    }
    report.peers.push_back(peerOf(id, what.entry, present));
  };
  if (members) {
    for (const auto& id : *members) tell(id, true);
  }
  auto entries = view.ledger.entries();
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a.order() != b.order() ? a.order() < b.order() : a.idText() < b.idText();
  });
  for (const auto& entry : entries) tell(entry.id(), !members);
  for (const auto& id : meant) tell(id, false);
  return report;
}

bool isComplete(const PushReport& report, bool wait) {
  const auto open = [&](const PushedPeer& peer) {
    return peer.state == State::waiting || peer.state == State::receiving ||
           (wait && peer.state == State::outOfReach);
  };
  if (wait && report.peers.empty()) return false;
  return std::none_of(report.peers.begin(), report.peers.end(), open);
}

}  // namespace espalier::peer::shell
