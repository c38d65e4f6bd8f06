#include "peer/shell/page_source.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/command/options.h"
#include "peer/shell/push_outcome.h"
#include "peer/shell/transfer_outcome.h"

namespace espalier::peer::shell {
namespace {

using namespace std::chrono_literals;
using command::Json;
using web::counter;
using web::gauge;
using web::histogram;
using web::Metric;

constexpr auto kAskInterval = 2s;
constexpr auto kAskRarely = 10s;
constexpr std::size_t kManyPeers = 256;  // tuning: peers, above which it asks rarely

void addFigures(const PeerFigures& figures, std::vector<Metric>& all) {
  all.push_back(histogram("heal_seconds",
                          "How long this peer was without a parent, each time that it lost one.",
                          figures.heals));
  all.push_back(
      histogram("search_seconds", "How long searches of this peer took.", figures.searches.took));
  all.push_back(counter("searches_complete_total", "Searches that every member has answered.",
                        static_cast<double>(figures.searches.complete)));
  all.push_back(counter("search_answers_missing_total", "Members that did not answer a search.",
                        static_cast<double>(figures.searches.missing)));
  all.push_back(counter("verified_chunks_total", "Chunks that arrived and had the right hash.",
                        static_cast<double>(figures.verifiedChunks)));
  all.push_back(counter("bad_chunks_total", "Chunks that arrived and had another hash.",
                        static_cast<double>(figures.badChunks)));
  all.push_back(gauge("queue_bytes", "Bytes that wait to be sent to others.",
                      static_cast<double>(figures.queueBytes)));
}

// Of the pushes that are not over.
void addPushes(PushService& service, std::vector<Metric>& all) {
  const auto reports = service.pushes({});
  if (!reports) return;
  double pushes = 0, peers = 0, verified = 0;
  for (const auto& report : *reports) {
    if (report.over) continue;
    ++pushes;
    peers += static_cast<double>(report.peers.size());
    verified += static_cast<double>(
        std::ranges::count(report.peers, PushedPeer::State::verified, &PushedPeer::state));
  }
  all.push_back(gauge("pushes", "Pushes in progress that this peer knows of.", pushes));
  all.push_back(gauge("push_peers", "Peers that they are meant for.", peers));
  all.push_back(gauge("push_peers_verified", "Of these, those that have everything.", verified));
}

std::string keyOf(const ActiveTransfer& transfer) {
  if (transfer.number > 0) return std::to_string(transfer.number);
  return transfer.name + " " + transfer.to;
}

}  // namespace

web::Picture PageSource::picture() {
  web::Picture picture;
  const auto status = services_.status.status();
  if (!status) return picture;
  picture["self"]["program"] = program(*status);
  picture["peers"] = peers(*status);
  auto& transfers = picture["transfers"];
  for (const auto& each : status->transfers) {
    transfers[keyOf(each)] = web::lineOf(transferData(each));
  }
  picture["pushes"] = pushes();
  events_.take();
  picture["people"] = people();
  picture["rooms"] = rooms();
  picture["said"] = events_.said();
  return picture;
}

web::Group PageSource::peers(const PeerStatus& status) {
  const auto now = Clock::now();
  if (status.metaserverReachable && now >= askAt_) {
    const auto fetched = store_.fetch({});
    const bool isLarge = fetched && fetched->entries.size() > kManyPeers;
    askAt_ = Clock::now() + (isLarge ? kAskRarely : kAskInterval);
  }
  web::Group group;
  const auto snapshot = store_.last();
  if (!snapshot) return group;
  for (const auto& entry : snapshot->entries) {
    Json peer;
    peer["order"] = static_cast<std::uint64_t>(entry.member.order);
    peer["at"] = entry.member.endpoint.text();
    peer["parent"] = entry.parent ? Json(entry.parent->text()) : Json(nullptr);
    group[entry.member.id.text()] = web::lineOf(peer);
  }
  return group;
}

web::Group PageSource::pushes() {
  web::Group group;
  const auto reports = services_.pushes.pushes({});
  if (!reports) return group;
  for (const auto& report : *reports) {
    Json push = pushData(report);
    const std::string key = push.value("push", "");
    group[key] = web::lineOf(push);
  }
  return group;
}

web::Group PageSource::rooms() {
  web::Group group;
  const auto rooms = services_.rooms.own();
  if (!rooms) return group;
  for (const auto& info : *rooms) {
    Json room;
    room["members"] = info.members;
    room["open"] = info.isOpen;
    if (info.opensAt > 0) room["opensAt"] = info.opensAt;
    room["confirmed"] = info.isConfirmed;
    room["unread"] = info.unread;
    room["naming"] = info.naming;
    group[info.room.text()] = web::lineOf(room);
  }
  return group;
}

// Who wrote how often: a page that sees the number change asks for the conversation.
web::Group PageSource::people() {
  web::Group group;
  for (const auto& id : services_.privates.correspondents("")) {
    group[id] = web::lineOf({{"received", events_.received(id)}});
  }
  return group;
}

// Nothing that changes by itself, such as the time: each change is an event.
std::string PageSource::program(const PeerStatus& status) {
  Json self;
  self["kind"] = "peer";
  self["version"] = command::programVersion();
  self["name"] = status.id.text();
  self["at"] = status.endpoint.text();
  self["metaserver"] = status.metaserver.text();
  self["reachable"] = status.metaserverReachable;
  self["maxLinks"] = status.maxLinks;
  self["share"] = status.share;
  self["downloads"] = status.downloads;
  self["files"] = status.sharedFiles;
  self["bytes"] = status.sharedBytes;
  self["toIndex"] = status.filesToIndex;
  self["sent"] = status.sentBytes;
  self["received"] = status.receivedBytes;
  self["uploadRate"] = status.rates.upload;
  self["downloadRate"] = status.rates.download;
  return web::lineOf(self);
}

std::vector<Metric> PageSource::metrics() {
  std::vector<Metric> all;
  if (const auto status = services_.status.status()) {
    all.push_back(gauge("members", "Peers in the network, as far as this one knows.",
                        static_cast<double>(status->members)));
    all.push_back(gauge("links", "Links to other peers.", static_cast<double>(status->links)));
    all.push_back(gauge("metaserver_reachable", "1: this peer has a session with a metaserver.",
                        status->metaserverReachable));
    all.push_back(
        gauge("shared_files", "Files that are shared.", static_cast<double>(status->sharedFiles)));
    all.push_back(
        gauge("shared_bytes", "Bytes of these files.", static_cast<double>(status->sharedBytes)));
    all.push_back(gauge("files_to_index", "Files that are not indexed yet.",
                        static_cast<double>(status->filesToIndex)));
    all.push_back(
        gauge("open_queries", "Searches in progress.", static_cast<double>(status->openQueries)));
    all.push_back(counter("sent_bytes_total", "Bytes of files that were sent.",
                          static_cast<double>(status->sentBytes)));
    all.push_back(counter("received_bytes_total", "Bytes of files that were received.",
                          static_cast<double>(status->receivedBytes)));
    all.push_back(gauge("transfers", "Transfers in progress.",
                        static_cast<double>(status->transfers.size())));
    all.push_back(gauge("uptime_seconds", "Time since the start.",
                        std::chrono::duration<double>(status->uptime).count()));
  }
  if (const auto figures = services_.status.figures()) addFigures(*figures, all);
  addPushes(services_.pushes, all);
  all.push_back(counter("log_lines_lost_total", "Lines of the log that could not be written.",
                        static_cast<double>(log::lost().lines)));
  return all;
}

std::optional<std::string> PageSource::whyNotReady() {
  const auto status = services_.status.status();
  if (!status) return status.error().message;
  if (!status->metaserverReachable) return "the metaserver is out of reach";
  return std::nullopt;
}

}  // namespace espalier::peer::shell
