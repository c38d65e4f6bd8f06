#include "peer/shell/status_report.h"

#include <chrono>
#include <tuple>
#include <utility>

#include "common/base/budget.h"
#include "common/base/limits.h"

namespace espalier::peer::shell {

using namespace std::chrono_literals;

Joined StatusReport::joined() {
  Joined joined;
  joined.id = options_.id;
  joined.share = options_.share;
  // The index of a small share is complete within a moment: then its figures are final.
  index_.wait(1s,
              [](const auto&, const share::IndexingProgress& progress) { return progress.ready; });
  const auto snapshot = index_.snapshot();
  joined.sharedFiles = snapshot->size();
  joined.sharedBytes = snapshot->totalBytes();
  joined.indexing = !index_.progress().ready;
  const auto place = runtime_.network().call([](Peer& peer, TimePoint, Effects&) {
    std::pair<Endpoint, PeerId> result;
    result.first = peer.tree()->self().endpoint;
    if (peer.tree()->parent()) result.second = peer.tree()->parent()->contact.id;
    return result;
  });
  if (place) std::tie(joined.endpoint, joined.linkedTo) = *place;
  return joined;
}

Result<PeerStatus> StatusReport::status() {
  auto status = runtime_.network().call([](Peer& peer, TimePoint, Effects&) {
    PeerStatus result;
    result.id = peer.membership().id();
    result.metaserver = peer.membership().session().home();
    result.metaserverReachable = peer.membership().joined();
    result.members = peer.membership().members();
    result.openQueries = peer.searches() != nullptr ? peer.searches()->openCount() : 0;
    if (const auto* tree = peer.tree()) {
      result.endpoint = tree->self().endpoint;
      result.links = tree->links();
      result.maxLinks = tree->maxLinks();
    }
    return result;
  });
  if (!status) return status;
  status->wantedId = options_.id;
  if (status->id.empty()) status->id = options_.id;
  status->share = options_.share;
  status->downloads = options_.downloads;
  if (status->metaserverReachable) {
    if (const auto members = runtime_.metaserver().members({})) status->members = members->count;
  }
  const auto snapshot = index_.snapshot();
  const auto progress = index_.progress();
  status->sharedFiles = snapshot->size();
  status->sharedBytes = snapshot->totalBytes();
  status->filesToIndex = progress.ready ? 0 : progress.totalFiles - progress.hashedFiles;
  status->sentBytes = transfers_.sentBytes();
  status->receivedBytes = transfers_.receivedBytes();
  status->uptime = Clock::now() - runtime_.started();
  status->rates = rates_.set(std::nullopt, std::nullopt);
  status->transfers = transfers_.list();
  return status;
}

Result<PeerFigures> StatusReport::figures() {
  const auto heals = runtime_.network().call([](Peer& peer, TimePoint, Effects&) {
    const auto* search = peer.membership().search();
    return search == nullptr ? Histogram() : search->heals();
  });
  if (!heals) return heals.error();
  PeerFigures figures;
  figures.heals = *heals;
  figures.searches = search_.figures();
  figures.verifiedChunks = chunks_.verified;
  figures.badChunks = chunks_.bad;
  figures.queueBytes = runtime_.network().budget()->held(limits::Held::queuedBytes);
  return figures;
}

}  // namespace espalier::peer::shell
