// The outcomes of the commands of rooms. Pure functions; text is escaped.
#pragma once

#include <optional>
#include <string>

#include "common/command/outcome.h"
#include "peer/shell/room_service.h"

namespace espalier::peer::shell {

struct JoinOutcome {
  RoomInfo info;
};
struct PartOutcome {
  RoomName room;
};
struct SayOutcome {
  SaidInRoom said;
};
struct RoomsOutcome {
  RoomListing listing;
};
struct WhoOutcome {
  std::optional<RoomName> room;
  RoomMembers who;
};

// "room":"fleece","members":2,"open":true; "opensAt":20 if it has a gate
void addMembers(command::Json& data, const JoinOutcome& outcome);
std::string textOf(const JoinOutcome& outcome);

void addMembers(command::Json& data, const PartOutcome& outcome);
std::string textOf(const PartOutcome& outcome);

// "room":"fleece","number":17,"epoch":1,"stored":2; "waitMs":400 if it was too fast
void addMembers(command::Json& data, const SayOutcome& outcome);
std::string textOf(const SayOutcome& outcome);

// "rooms":[{"room":"fleece","members":2,"open":true,"joined":true,"unread":0,"naming":0}]
void addMembers(command::Json& data, const RoomsOutcome& outcome);
const char* entriesNameOf(const RoomsOutcome& outcome);
void eachEntryOf(const RoomsOutcome& outcome, const command::EachEntry& each);
void writeTextOf(const RoomsOutcome& outcome, const command::Write& write);

// "room":"fleece","count":1,"members":[{"id":"s4","home":"m1","since":"…Z"}]
void addMembers(command::Json& data, const WhoOutcome& outcome);
const char* entriesNameOf(const WhoOutcome& outcome);
void eachEntryOf(const WhoOutcome& outcome, const command::EachEntry& each);
void writeTextOf(const WhoOutcome& outcome, const command::Write& write);

}  // namespace espalier::peer::shell
