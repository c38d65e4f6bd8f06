// Rooms for tests of commands: this peer is in the lobby, and in those that it joins.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "peer/shell/room_service.h"

namespace espalier::test {

class FakeRoomService : public peer::shell::RoomService {
 public:
  struct Said {
    std::string room;
    std::string text;
  };

  std::map<RoomName, peer::shell::RoomInfo> joined;
  std::vector<Said> said;
  Error refusal;  // of all that is said, if it has a message
  std::vector<wire::RoomEntry> entries;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> lost;  // of the history
  std::vector<wire::RoomMember> present;
  std::vector<peer::shell::Event> happening;  // while it is watched
  std::vector<RoomName> watched;
  std::set<RoomName> readRooms;
  bool isHomeAway = false;

  PeerId self() override { return *PeerId::parse("s2"); }
  Result<peer::shell::RoomInfo> join(const RoomName& room, std::uint32_t opensAt,
                                     std::stop_token) override {
    auto& info = joined[room];
    info = {room, isHomeAway ? 0u : 1u, opensAt, opensAt == 0, true, !isHomeAway};
    return info;
  }
  Result<void> part(const RoomName& room) override {
    if (joined.erase(room) == 0) return Error{ErrorCode::usage, "you are not in " + room.text()};
    return {};
  }
  Result<peer::shell::SaidInRoom> say(const RoomName& room, const std::string& text,
                                      std::stop_token) override {
    if (!refusal.message.empty()) {
      return peer::shell::SaidInRoom{room, 0, {}, 0, std::chrono::milliseconds(400), refusal};
    }
    said.push_back({room.text(), text});
    return peer::shell::SaidInRoom{room, said.size(), {1, ServerNumber{1}}, 2, {}, {}};
  }
  Result<peer::shell::RoomHistory> history(const RoomName& room, std::size_t most,
                                           std::stop_token) override {
    const auto count = static_cast<std::ptrdiff_t>(std::min(most, entries.size()));
    return peer::shell::RoomHistory{room, {entries.end() - count, entries.end()}, lost, false, 0,
                                    {}};
  }
  void read(const RoomName& room) override { readRooms.insert(room); }
  Result<peer::shell::RoomListing> rooms(std::stop_token) override {
    peer::shell::RoomListing listing;
    for (const auto& [name, info] : joined) listing.rooms.push_back(info);
    if (isHomeAway) listing.problem = "the metaserver is out of reach";
    return listing;
  }
  Result<std::vector<peer::shell::RoomInfo>> own() override {
    std::vector<peer::shell::RoomInfo> all;
    for (const auto& [name, info] : joined) all.push_back(info);
    return all;
  }
  Result<peer::shell::RoomMembers> who(const std::optional<RoomName>&, std::stop_token) override {
    return peer::shell::RoomMembers{present.size(), present};
  }
  Result<void> watch(const std::vector<RoomName>& names, const std::function<void()>& onBegin,
                     const OnEvent& onEvent, std::stop_token) override {
    watched = names;
    onBegin();
    for (const auto& event : happening) onEvent(event);
    return {};
  }
  std::vector<std::string> names(const std::string&) override { return {"fleece", "lobby"}; }
};

}  // namespace espalier::test
