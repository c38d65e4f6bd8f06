// The messages of rooms that docs/protocol.md shows, for protocol_doc_test.cpp.
#pragma once

#include <string>
#include <utility>
#include <vector>

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
  using namespace wire;
  const auto room = *RoomName::parse("fleece");
  const auto author = *PeerId::parse("s4");
  const Epoch epoch{1, ServerNumber{5000}};
  const RoomEntryId id{*SpeakerId::fromRaw("sixteen at rando"), 3};
  const RoomSay say{room, id, "hello"};
  RoomEntry entry;
  entry.room = room;
  entry.position = {epoch, 40};
  entry.number = 17;
  entry.id = id;
  entry.atMs = 1'795'000'000'000;
  entry.author = author;
  entry.text = "hello";
  RoomEntry apart = entry;
  apart.position = {{2, ServerNumber{5010}}, 39};
  apart.number = 16;
  const RoomPlace before{{epoch, 38}, 16};
  const RoomsWanted wanted{2, {{room, 3}}};
  const RoomSaidReply stored{room, id, 17, epoch, 2, ErrorCode::refused, 0, {}};
  const RoomSaidReply refused{room, id, 0, {}, 0, ErrorCode::refused, 200, "too many at once"};
  const RoomMessages messages{room, 5, before, {}, {entry}, 0, 0, false, false};
  const RoomEntries entries{epoch,
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
           {"RoomAsk", RoomAsk{room, 5, RoomAsk::From::places, {before}, 0}}},
          {{"RoomSaidReply", refused},
           {"RoomMessages", messages},
           {"RoomState", RoomState{room, 2, 3, false, {}}},
           {"RoomMoved", RoomMoved{room, author, true}}},
          {{"RoomSaid", RoomSaid{say, author, 1'795'000'000'000, 3}},
           {"MemberRooms", MemberRooms{author, wanted}}},
          {{"Stored", stored}, {"RoomRefused", RoomRefused{author, room, "there are 1,000 rooms"}}},
          {{"RoomEntries", entries},
           {"RoomPull", RoomPull{epoch, 6, {{epoch, 38}}}},
           {"RoomHave", RoomHave{epoch, 40, false}},
           {"RoomApart", RoomApart{epoch, {apart}}}}};
}

}  // namespace espalier::test
