// The messages of rooms that docs/protocol.md shows, for protocol_doc_test.cpp.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/wire/registry.h"
#include "common/wire/rooms_codec.h"

namespace espalier::test {

struct RoomExamples {
  std::vector<std::pair<std::string, wire::RoomRequest>> requests;
  std::vector<std::pair<std::string, wire::RoomReply>> replies;
  std::vector<std::pair<std::string, wire::RoomPassed>> passed;
  std::vector<std::pair<std::string, wire::RoomAnswer>> answers;
  std::vector<std::pair<std::string, wire::RoomServerMessage>> servers;
};

inline RoomExamples roomExamples() {
  const auto room = *RoomName::parse("fleece");
  const auto author = *PeerId::parse("s4");
  const Epoch epoch{1, ServerNumber{5000}};
  const wire::RoomEntryId id{*SpeakerId::fromRaw("sixteen at rando"), 3};
  const wire::RoomSay say{room, id, "hello"};
  wire::RoomEntry entry;
  entry.room = room;
  entry.position = {epoch, 40};
  entry.number = 17;
  entry.id = id;
  entry.atMs = 1'795'000'000'000;
  entry.author = author;
  entry.text = "hello";
  wire::RoomEntry apart = entry;
  apart.position = {{2, ServerNumber{5010}}, 39};
  apart.number = 16;
  const wire::RoomPlace before{{epoch, 38}, 16};
  const wire::RoomsWanted wanted{2, {{room, 3}}};
  const wire::RoomSaidReply stored{room, id, 17, epoch, 2, ErrorCode::refused, 0, {}};
  const wire::RoomSaidReply refused{
      room, id, 0, {}, 0, ErrorCode::refused, 200, "too many at once"};
  const wire::RoomMessages messages{room, 5, before, {}, {entry}, 0, 0, false, false};
  const wire::RoomEntries entries{epoch,
                                  6,
                                  {epoch, 38},
                                  {epoch, 40},
                                  {epoch, 40},
                                  39,
                                  {{room, {epoch, 39}, 16, 3, true}},
                                  {},
                                  {{room, id}},
                                  {entry}};
  return {{{"RoomsWanted", wanted},
           {"RoomSay", say},
           {"RoomAsk", wire::RoomAsk{room, 5, wire::RoomAsk::From::places, {before}, 0}}},
          {{"RoomSaidReply", refused},
           {"RoomMessages", messages},
           {"RoomState", wire::RoomState{room, 2, 3, false, {}}},
           {"RoomMoved", wire::RoomMoved{room, author, true}}},
          {{"RoomSaid", wire::RoomSaid{say, author, 1'795'000'000'000, 3}},
           {"MemberRooms", wire::MemberRooms{author, wanted}}},
          {{"Stored", stored},
           {"RoomRefused", wire::RoomRefused{author, room, "there are 1,000 rooms"}}},
          {{"RoomEntries", entries},
           {"RoomPull", wire::RoomPull{epoch, 6, {{epoch, 38}}}},
           {"RoomHave", wire::RoomHave{epoch, 40, false}},
           {"RoomApart", wire::RoomApart{epoch, {apart}}}}};
}

// In the frames of the registry.
inline std::vector<std::pair<std::string, wire::RegistryRequest>> roomRegistryRequests() {
  const auto room = *RoomName::parse("fleece");
  return {{"RoomRequest", wire::RoomRequest(wire::RoomsWanted{2, {{room, 3}}})},
          {"RoomListRequest", wire::RoomListRequest{room, 9}},
          {"RoomWhoRequest", wire::RoomWhoRequest{room, *PeerId::parse("s4"), 10}}};
}

inline std::vector<std::pair<std::string, wire::RegistryReply>> roomRegistryReplies() {
  const auto room = *RoomName::parse("fleece");
  const auto who = *PeerId::parse("s4");
  return {{"RoomReply", wire::RoomReply(wire::RoomMoved{room, who, true})},
          {"RoomList", wire::RoomList{9, {{room, 2, 3, false, 17}}, true}},
          {"RoomWho", wire::RoomWho{10,
                                    2,
                                    {{who, *ServerName::parse("m5000"),
                                      std::chrono::milliseconds(1'795'000'000'000)}},
                                    false}}};
}

}  // namespace espalier::test
