#include "metaserver/shell/page_source.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "common/base/log.h"
#include "common/command/options.h"

namespace espalier::metaserver::shell {
namespace {

using command::Json;
using web::counter;
using web::gauge;
using web::histogram;
using web::Metric;

double secondsSince1970(WallTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

}  // namespace

web::Picture PageSource::picture() {
  server_.readMembers([this](const auto& copy, const auto& changes, const auto& homes) {
    takeMembers(copy, changes, homes);
  });
  takeRooms();
  return {{"peers", peers_},
          {"rooms", rooms_},
          {"servers", servers()},
          {"self", {{"program", program()}}}};
}

void PageSource::takeMembers(const RegistryCopy& copy, const MemberChanges& changes,
                             const HomeNames& homes) {
  if (changes.fromScratch) {
    shown_.clear();
    peers_.clear();
  }
  std::set<JoinOrder> touched;
  std::set<PeerId> ids;
  for (const auto& row : changes.rows) {
    touched.insert(row->contact.order);
    areRoomsDue_ = true;
    ids.insert(row->contact.id);
    // What one end reports confirms the link of the other one.
    for (const auto& neighbour : row->neighbours) {
      if (const auto* other = copy.find(neighbour)) touched.insert(other->contact.order);
    }
  }
  areRoomsDue_ = areRoomsDue_ || !changes.gone.empty();
  for (const JoinOrder order : changes.gone) {
    const auto found = shown_.find(order);
    if (found == shown_.end()) continue;
    ids.insert(found->second.id);
    peers_.erase(found->second.id.text());
    shown_.erase(found);
  }
  if (ids.empty()) return;
  for (const auto& [order, shown] : shown_) {
    if (shown.parent && ids.contains(*shown.parent)) touched.insert(order);
  }
  for (const JoinOrder order : touched) {
    const auto* row = copy.find(order);
    if (row == nullptr) continue;
    auto& shown = shown_[order];
    shown = {row->contact.id, copy.entry(*row).parent};
    Json peer;
    peer["order"] = static_cast<std::uint64_t>(order);
    peer["at"] = row->contact.endpoint.text();
    peer["parent"] = shown.parent ? Json(shown.parent->text()) : Json(nullptr);
    peer["home"] = homes.of(row->home).text();
    peers_[shown.id.text()] = web::lineOf(peer);
  }
}

// With the members that a peer's page has, and without what only a member of a room has.
void PageSource::takeRooms() {
  const auto shown = server_.shownOfRooms();
  const auto now = Clock::now();
  if (!areRoomsDue_ && shown == shownOfRooms_ && now < roomsUntil_) return;
  const auto rows = server_.rooms();
  if (!rows) return;
  areRoomsDue_ = false;
  shownOfRooms_ = shown;
  roomsUntil_ = now + kRoomsEvery;
  rooms_.clear();
  for (const auto& row : *rows) {
    Json room;
    room["members"] = row.members;
    room["open"] = row.isOpen;
    if (row.opensAt > 1) room["opensAt"] = row.opensAt;
    room["last"] = row.isOpen ? row.last : 0;
    rooms_[row.room.text()] = web::lineOf(room);
  }
}

web::Group PageSource::servers() {
  web::Group group;
  const auto servers = server_.servers();
  if (!servers) return group;
  for (const auto& info : *servers) {
    Json server;
    server["at"] = info.endpoint.text();
    server["master"] = info.isMaster;
    server["self"] = info.isSelf;
    server["drains"] = info.drains;
    server["dead"] = info.isDead;
    server["peers"] = info.peers;
    server["started"] = secondsSince1970(info.started);
    server["version"] = info.version;
    server["behind"] = info.behind;
    group[info.name.text()] = web::lineOf(server);
  }
  return group;
}

// Nothing that changes by itself, such as the time: each change is an event.
std::string PageSource::program() {
  Json self;
  self["kind"] = "metaserver";
  self["version"] = command::programVersion();
  if (const auto own = server_.self()) {
    self["name"] = own->name.text();
    self["started"] = secondsSince1970(own->started);
  }
  if (const auto status = server_.status()) {
    self["at"] = status->endpoint.text();
    self["maxLinks"] = status->maxLinks;
    self["placement"] = status->placement;
    self["reserved"] = status->reserved;
    self["awaited"] = status->awaited;
    self["refused"] = status->refused;
  }
  if (const auto master = server_.master()) {
    self["master"] = master->master.text();
    self["epoch"] = master->epoch;
    self["why"] = master->whyNone;
  }
  return web::lineOf(self);
}

std::vector<Metric> PageSource::metrics() {
  std::vector<Metric> all;
  const auto status = server_.status();
  const auto master = server_.master();
  const auto servers = server_.servers();
  if (status) {
    all.push_back(gauge("members", "Peers in the network.", static_cast<double>(status->members)));
    all.push_back(gauge("attaching", "Peers that have a reserved slot and no link yet.",
                        static_cast<double>(status->reserved)));
    all.push_back(gauge("awaited", "Peers that are expected back after a restart.",
                        static_cast<double>(status->awaited)));
    all.push_back(counter("refused_total", "Joiners that were turned away since the start.",
                          static_cast<double>(status->refused)));
    all.push_back(counter("joins_total", "Newcomers that this metaserver has admitted.",
                          static_cast<double>(status->joined)));
    all.push_back(counter("losses_total", "Members that have left or died.",
                          static_cast<double>(status->lost)));
    all.push_back(gauge("adrift", "Peers that have lost their parent and report no other one yet.",
                        static_cast<double>(status->adrift)));
    all.push_back(
        histogram("member_heal_seconds",
                  "How long peers took to report another parent, each time that one was lost.",
                  status->heals));
    all.push_back(gauge("queue_bytes", "Bytes that wait to be sent to others.",
                        static_cast<double>(status->queueBytes)));
    all.push_back(gauge("uptime_seconds", "Time since the start.",
                        std::chrono::duration<double>(status->uptime).count()));
  }
  if (master) {
    const bool isAlone = master->master.empty() && master->whyNone.empty();
    const bool isMaster = isAlone || master->self == master->master;
    all.push_back(gauge("is_master", "1: this metaserver decides for the network.", isMaster));
    all.push_back(gauge("cluster_epoch", "The epoch of the master that this metaserver follows.",
                        static_cast<double>(master->epoch)));
  }
  if (servers) {
    const auto living =
        std::ranges::count_if(*servers, [](const ServerInfo& info) { return !info.isDead; });
    all.push_back(
        gauge("metaservers", "Living metaservers of the cluster.", static_cast<double>(living)));
    for (const auto& info : *servers) {
      if (!info.isSelf) continue;
      all.push_back(gauge("replica_lag_changes", "Changes of the directory that this copy lacks.",
                          static_cast<double>(info.behind)));
      all.push_back(gauge("sessions", "Peers of which this metaserver is the home.",
                          static_cast<double>(info.peers)));
    }
  }
  all.push_back(counter("log_lines_lost_total", "Lines of the log that could not be written.",
                        static_cast<double>(log::lost().lines)));
  return all;
}

std::optional<std::string> PageSource::whyNotReady() {
  const auto master = server_.master();
  if (!master) return master.error().message;
  if (master->master.empty() && !master->whyNone.empty()) return master->whyNone;
  return std::nullopt;
}

}  // namespace espalier::metaserver::shell
