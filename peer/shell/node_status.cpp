// The part of Node that tells how it is at this moment.
#include <fmt/format.h>

#include <chrono>
#include <tuple>

#include "peer/shell/node.h"

namespace espalier::peer::shell {

using namespace std::chrono_literals;

Joined Node::joinedNow() {
  Joined joined;
  joined.id = options_.id;
  joined.share = options_.share;
  // Small shares are told in full: their index is there within a moment.
  index_->wait(1s, [](const auto&, const share::Progress& progress) { return progress.ready; });
  const auto snapshot = index_->snapshot();
  joined.sharedFiles = snapshot->size();
  joined.sharedBytes = snapshot->totalBytes();
  joined.indexing = !index_->progress().ready;
  const auto place = network_.call([](Peer& peer, TimePoint, Effects&) {
    std::pair<Endpoint, PeerId> result;
    result.first = peer.tree()->self().endpoint;
    if (peer.tree()->parent()) result.second = peer.tree()->parent()->contact.id;
    return result;
  });
  if (place) std::tie(joined.endpoint, joined.linkedTo) = *place;
  return joined;
}

Result<PeerStatus> Node::status() {
  auto status = network_.call([](Peer& peer, TimePoint, Effects&) {
    PeerStatus result;
    result.metaserverReachable = peer.membership().joined();
    result.members = peer.membership().members();
    result.openQueries = peer.openQueries();
    if (const auto* tree = peer.tree()) {
      result.endpoint = tree->self().endpoint;
      result.links = tree->links();
      result.maxLinks = tree->maxLinks();
    }
    return result;
  });
  if (!status) return status;
  status->id = options_.id;
  status->metaserver = options_.metaserver;
  status->share = options_.share;
  status->downloads = options_.downloads;
  if (status->metaserverReachable) {
    if (const auto members = membersNow({})) status->members = members->count;
  }
  const auto snapshot = index_->snapshot();
  const auto progress = index_->progress();
  status->sharedFiles = snapshot->size();
  status->sharedBytes = snapshot->totalBytes();
  status->filesToIndex = progress.ready ? 0 : progress.totalFiles - progress.hashedFiles;
  status->sentBytes = server_->status().bytes + desk_.sentBytes();
  status->receivedBytes = receivedBytes_ + desk_.receivedBytes();
  status->uptime = Clock::now() - started_;
  status->rates = {uploadRate_.get(), downloadRate_.get()};
  status->transfers = downloads_.list();
  for (const auto& each : desk_.incoming()) {
    ActiveTransfer shown;
    shown.name = each.name;
    if (each.files > 1) shown.name += fmt::format(" and {} more", each.files - 1);
    shown.peers = each.from;
    shown.incoming = true;
    shown.doneBytes = each.doneBytes;
    shown.totalBytes = each.totalBytes;
    status->transfers.push_back(std::move(shown));
  }
  for (const auto& each : server_->uploads()) {
    ActiveTransfer shown;
    shown.name = each.name;
    shown.to = each.to;
    shown.doneBytes = each.bytes;
    shown.totalBytes = each.size;
    shown.bytesPerSecond = each.bytesPerSecond;
    status->transfers.push_back(std::move(shown));
  }
  return status;
}

}  // namespace espalier::peer::shell
