// The part of ClusterNetwork that is the disk of rooms: entries are synced later, in their order,
// and what was not is gone when the process is killed.
#include <algorithm>
#include <utility>

#include "tests/support/cluster_network.h"

namespace espalier::test {

using namespace std::chrono_literals;

void ClusterNetwork::carryOutRooms(std::size_t i, metaserver::rooms::RoomsEffects& fx) {
  Server& server = servers_[i];
  for (const auto& write : fx.writes) server.roomsNow.write(write);
  if (fx.persist) {
    server.roomsSyncedAt =
        std::max(server.roomsSyncedAt, outside_.now() + within(ofRooms_, 1ms, 15ms));
    outside_.at(server.roomsSyncedAt,
                [this, i, run = server.run, number = *fx.persist, writes = std::move(fx.writes)] {
                  Server& there = servers_[i];
                  if (!there.core || there.run != run) return;
                  for (const auto& write : writes) there.rooms.write(write);
                  whenAwake(i, [this, i, number] {
                    step(i, [=](Coordinator& core, TimePoint now, Effects&) {
                      core.roomsPersisted(number, now);
                    });
                  });
                });
  }
  if (fx.readApart) {
    outside_.at(outside_.now() + 1ms, [this, i, run = server.run] {
      if (servers_[i].run != run) return;
      whenAwake(i, [this, i] {
        step(i, [this, i](Coordinator& core, TimePoint now, Effects&) {
          core.roomsApart(servers_[i].roomsNow.apart(), now);
        });
      });
    });
  }
  for (auto& message : fx.messages) {
    server.roomsNow.fill(std::get<wire::RoomEntries>(message.message), *message.entries);
    outside_.at(outside_.now() + within(ofRooms_, 0ms, 5ms),
                [this, i, run = server.run, to = message.to, what = std::move(message.message)] {
                  if (servers_[i].run != run) return;
                  whenAwake(i, [this, i, to, what] {
                    step(i, [&](Coordinator& core, TimePoint, Effects& more) {
                      core.tell(to, what, more);
                    });
                  });
                });
  }
  for (auto& [to, reply, entries] : fx.peers) {
    if (entries) server.roomsNow.fill(std::get<wire::RoomMessages>(reply), *entries);
    for (const ConnectionId connection : to) outside_.toPeer(i, connection, reply);
  }
}

}  // namespace espalier::test
