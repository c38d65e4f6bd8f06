// What holds in RoomNetwork when everything is at rest.
#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "tests/support/room_network.h"

namespace espalier::test {

using Kind = wire::RoomEntry::Kind;

bool RoomNetwork::isCalm() const {
  const Server* master = nullptr;
  for (const auto& server : servers_) {
    if (!server.core) return false;
    if (!server.hasView || server.view.size() + 1 != servers_.size()) return false;
    if (server.isDeciding) {
      if (master) return false;
      master = &server;
    }
  }
  if (!master || !master->core->isDeciding()) return false;
  return std::all_of(servers_.begin(), servers_.end(), [&](const Server& server) {
    return server.unsynced.empty() && server.core->log().apart().empty() &&
           server.core->log().last() == master->core->log().last() &&
           server.core->committed() == master->core->log().last().sequence;
  });
}

std::uint64_t RoomNetwork::apartCount() const {
  std::uint64_t count = 0;
  for (const auto& [sequence, entry] : servers_[0].current.log()) count += entry.isApart ? 1 : 0;
  return count;
}

void RoomNetwork::checkAtRest() {
  if (!failure_.empty()) return;
  if (!isCalm()) {
    for (const auto& server : servers_) {
      const auto& log = server.core->log();
      trace(fmt::format(
          "m{}: epoch {}.{}, {}, log up to {}.{}.{}, committed {}, {} apart, {} unsynced",
          number(server.number), server.known.counter, number(server.known.number),
          server.core->isDeciding() ? "serves"
          : server.isDeciding       ? "decides"
                                    : "follows",
          log.last().epoch.counter, number(log.last().epoch.number), log.last().sequence,
          server.core->committed(), log.apart().size(), server.unsynced.size()));
    }
    return fail("the metaservers do not come to rest");
  }
  const bool lapses = settings_.messagesMost < limits::kRoomMessages;
  for (const auto& server : servers_) {
    if (server.disk.hasApart()) fail("entries are apart on a disk");
  }
  // Where a room has ended its entries are gone, also if that end is on no other side.
  const auto countLasting = [&](const Server& server) {
    const auto& log = server.disk.log();
    return std::count_if(log.begin(), log.end(),
                         [&](const auto& one) { return !ended_.contains(one.second.room); });
  };
  std::map<RoomName, std::vector<wire::RoomEntry>> rooms;
  std::map<std::pair<RoomName, Id>, std::uint64_t> numbers;
  for (const auto& server : servers_) {
    for (const auto& [sequence, entry] : server.disk.log()) {
      const auto known = servers_[0].disk.log().find(sequence);
      if (known != servers_[0].disk.log().end() && !(known->second == entry)) {
        return fail(fmt::format("the logs differ at {}", sequence));
      }
    }
    if (!lapses && countLasting(server) != countLasting(servers_[0])) {
      return fail("a log lacks entries");
    }
  }
  for (const auto& [sequence, entry] : servers_[0].disk.log()) {
    rooms[entry.room].push_back(entry);
    numbers[{entry.room, entry.id}] = entry.number;
  }
  const auto isKept = [&](const std::pair<RoomName, Id>& key, std::uint64_t number) {
    const auto found = numbers.find(key);
    if (found != numbers.end()) {
      if (!settings_.hasCuts && number > 0 && found->second != number) {
        fail(fmt::format("{}/{} has the number {} now", key.first.text(), number, found->second));
      }
      return true;
    }
    const auto& room = rooms[key.first];
    // Of what lapsed on another side nothing is left to count.
    return lapses && (settings_.hasCuts || room.empty() || room.front().number > 1);
  };
  if (!settings_.hasCuts && !lapses && !moved_.empty())
    return fail("committed twice, without a cut");
  for (const auto& [key, number] : acknowledged_) {
    if (!isKept(key, number)) {
      return fail(fmt::format("lost although acknowledged: {}/{}", key.first.text(), number));
    }
  }
  for (const auto& key : seen_) {
    // That it is open was said of the room that has ended.
    if (ended_.contains(key.first) && key.second.speaker.isZero()) continue;
    if (!isKept(key, 0)) return fail("lost although shown: in " + key.first.text());
    // One that has ended may be made again with a gate.
    if (ended_.contains(key.first)) continue;
    for (const auto& server : servers_) {
      if (server.core->isClosed(key.first)) return fail("closed again: " + key.first.text());
    }
  }
  for (const auto& peer : peers_) {
    if (peer.core->unsaid() > 0) return fail("not acknowledged at all: of " + peer.id.text());
    for (const auto& [name, track] : peer.tracks) checkMember(peer, name, track, rooms[name]);
  }
}

void RoomNetwork::checkMember(const Peer& peer, const RoomName& name, const Track& track,
                              const std::vector<wire::RoomEntry>& log) {
  const auto who = peer.id.text() + " in " + name.text();
  std::unordered_map<std::uint64_t, bool> isMissing;
  for (const auto& [from, to] : track.missing) {
    for (auto number = from; number <= to; ++number) isMissing[number] = true;
  }
  if (!track.hasBase) return fail("was never told where the room is: " + who);
  const bool isClosed = servers_[0].core->isClosed(name);
  if (const auto opened = openedWith_.find(name);
      opened != openedWith_.end() && !settings_.hasCuts && !ended_.contains(name)) {
    const auto own = opened->second.find(peer.id);
    const bool wasThere = own != opened->second.end() && own->second >= track.revision;
    if (wasThere && track.baseNumber > 0) {
      return fail(fmt::format("the room has opened by it, but it is shown it from {} on: {}",
                              track.baseNumber + 1, who));
    }
  }
  std::map<Id, std::size_t> order;
  for (const auto& entry : log) {
    order.emplace(entry.id, order.size());
    if (entry.kind == Kind::made || entry.kind == Kind::ended || track.base.contains(entry.id) ||
        isClosed)
      continue;
    const bool isShown = track.shownIds.contains(entry.id);
    if (!isShown && !isMissing.contains(entry.number)) {
      return fail(
          fmt::format("not shown: {}/{} {} to {}", name.text(), entry.number, entry.text, who));
    }
  }
  // Also what is not kept any more.
  for (const auto& [number, id] : history_[name]) {
    if (settings_.hasCuts || isClosed || ended_.contains(name)) break;
    if (number <= track.baseNumber || track.shownIds.contains(id)) continue;
    if (!isMissing.contains(number)) {
      return fail(fmt::format("neither shown nor missing: {}/{} to {}", name.text(), number, who));
    }
  }
  std::optional<std::size_t> last;
  for (const auto& [id, number] : track.shown) {
    // That a room is open is said again by a master whose log has lost it.
    if (id.speaker.isZero()) continue;
    if (!settings_.hasCuts && isMissing.contains(number)) {
      return fail(
          fmt::format("called missing although shown: {}/{} to {}", name.text(), number, who));
    }
    const auto found = order.find(id);
    // Committed on both sides of a cut: there in different orders.
    if (found == order.end() || moved_.contains({name, id})) continue;
    if (last && found->second < *last) {
      for (const auto& [one, as] : track.shown) {
        const auto at = order.find(one);
        if (at == order.end()) continue;
        const auto& entry = log[at->second];
        trace(fmt::format("{} was shown as {}, is {}{}{}", entry.text, as, entry.number,
                          entry.isApart ? ", apart" : "",
                          moved_.contains({name, one}) ? ", committed twice" : ""));
      }
      return fail(fmt::format("in another order: {}/{} to {}", name.text(), number, who));
    }
    last = found->second;
  }
}

}  // namespace espalier::test
