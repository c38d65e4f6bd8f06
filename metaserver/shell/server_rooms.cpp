// The part of Server that connects its RoomKeeper with the coordinator and with peers.
#include <chrono>
#include <utility>

#include "common/base/limits.h"
#include "common/wire/registry_codec.h"
#include "metaserver/shell/server.h"

namespace espalier::metaserver::shell {

Result<rooms::Stored> Server::openRooms() {
  RoomKeeper::Host host;
  host.persisted = [this](std::uint64_t number) {
    step([&](auto& coordinator, TimePoint now, auto&) { coordinator.roomsPersisted(number, now); });
  };
  host.apart = [this](const std::vector<wire::RoomEntry>& entries) {
    step([&](auto& coordinator, TimePoint now, auto&) { coordinator.roomsApart(entries, now); });
  };
  host.failing = [this](bool isFailing) { setRoomsFailing(isFailing); };
  host.tell = [this](ServerNumber to, const wire::RoomServerMessage& message) {
    step([&](auto& coordinator, TimePoint, auto& fx) { coordinator.tell(to, message, fx); });
  };
  host.reply = [this](const auto& to, const wire::RoomReply& message) { reply(to, message); };
  host.beyond = [this](const RoomName& name, std::uint64_t sequence) {
    return coordinator_.with([&](auto& coordinator) -> std::optional<wire::RoomMessages> {
      const auto& rooms = coordinator->rooms();
      const auto* room = rooms.log().find(name);
      if (!room || rooms.isClosed(name)) return std::nullopt;
      wire::RoomMessages messages;
      messages.room = name;
      messages.after = room->placeAt(rooms.committed());
      if (messages.after.position.sequence <= sequence) return std::nullopt;
      return messages;
    });
  };
  host.wake = [posted = loop_.posted()] { posted->wake(); };
  rooms_ = std::make_unique<RoomKeeper>(options_.state + "/rooms.db", std::move(host));
  return rooms_->open();
}

void Server::setRoomsFailing(bool isFailing) {
  areRoomsFailing_ = isFailing;
  step([&](auto& coordinator, TimePoint now, auto&) {
    coordinator.setRoomsFailing(isFailing, now);
  });
  tellUnfit();
}

// Who cannot write what it promises, or what is said, should not decide. Not from here: this may be
// a step of the coordinator.
void Server::tellUnfit() {
  loop_.post([this, isUnfit = !isKeeping_ || areRoomsFailing_] {
    step([&](auto& coordinator, TimePoint now, auto& fx) {
      coordinator.setUnfit(isUnfit, now, fx);
    });
  });
}

// The same bytes for all.
void Server::reply(const std::vector<ConnectionId>& to, const wire::RoomReply& message) {
  const auto bytes = wire::encode(wire::RegistryReply(message));
  for (const auto each : to) {
    if (auto* connection = loop_.find(each)) connection->send(bytes);
  }
}

Result<std::vector<wire::RoomRow>> Server::rooms() {
  std::vector<wire::RoomRow> all;
  wire::RoomListRequest request{{}, 1};
  while (true) {
    auto page =
        coordinator_.with([&](auto& coordinator) { return coordinator->roomList(request); });
    for (auto& row : page.rooms) all.push_back(std::move(row));
    if (!page.isMore || all.size() > 2 * limits::kRooms) return all;
    request.after = all.back().room;
  }
}

std::uint64_t Server::shownOfRooms() {
  return coordinator_.with([](auto& coordinator) { return coordinator->rooms().committed(); });
}

}  // namespace espalier::metaserver::shell
