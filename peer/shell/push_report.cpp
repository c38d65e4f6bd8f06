#include "peer/shell/push_report.h"

#include <algorithm>
#include <set>

namespace espalier::peer::shell {
namespace {

using State = PushedPeer::State;
using wire::PushState;

PushedPeer peerOf(const PeerId& id, const std::optional<Ledger::Entry>& entry, bool present) {
  PushedPeer peer{id, State::waiting, {}};
  const auto state = entry ? entry->state() : PushState::offered;
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
      peer.reason = entry->reason();
      break;
    case PushState::declined:
      peer.state = State::declined;
      peer.reason = entry->reason();
      break;
    case PushState::verified:
      peer.state = State::verified;
      break;
  }
  return peer;
}

}  // namespace

PushReport pushReport(const Pushes::View& view, const std::optional<std::vector<PeerId>>& members) {
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
    report.peers.push_back(peerOf(id, view.ledger.find(id), present));
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
