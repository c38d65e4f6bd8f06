// The command `history` of both programs: the last messages of a room. A peer asks its home, a
// metaserver reads its own log. Thread rule: as the function that it is made with.
//
//   2026-11-30 12:02  s4: hello
//   2026-11-30 12:03  the chat is open
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/command/dispatcher.h"
#include "common/wire/rooms.h"

namespace espalier::command {

struct RoomHistory {
  RoomName room;
  std::vector<wire::RoomEntry> entries;  // in their order; what an ignored peer said is left out
  // Numbers that are not kept any more, before an entry.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> missing;
  bool isClosed = false;   // nothing of it may be shown yet
  std::uint64_t more = 0;  // of those that were asked for: older ones, for which it has no room
  std::string problem;     // why it may lack the latest ones; empty: it has them
};

// The last `most` entries. Blocks.
using HistoryOf = std::function<Result<RoomHistory>(const RoomName& room, std::size_t most,
                                                    std::stop_token stop)>;

Command historyCommand(HistoryOf historyOf);

// The numbers that are left out between entries, and before the first if there are fewer than
// `most`: they are not kept any more.
std::vector<std::pair<std::uint64_t, std::uint64_t>> gapsIn(
    const std::vector<wire::RoomEntry>& entries, std::size_t most);

// A name as it is typed: with or without the # that `say` wants.
Result<RoomName> roomOf(std::string_view typed);

struct HistoryOutcome {
  RoomHistory history;
};
// "room":"fleece","missing":[{"from":1,"to":3}],
// "messages":[{"number":16,"epoch":1,"at":"…Z","from":"s4","text":"hello"}];
// "open":false if nothing is shown yet, "more":12, "problem":"…"
void addMembers(Json& data, const HistoryOutcome& outcome);
const char* entriesNameOf(const HistoryOutcome& outcome);
void eachEntryOf(const HistoryOutcome& outcome, const EachEntry& each);
void writeTextOf(const HistoryOutcome& outcome, const Write& write);

}  // namespace espalier::command
