#include "common/command/history_command.h"

#include <fmt/format.h>

#include <chrono>
#include <optional>

#include "common/base/limits.h"
#include "common/base/look_alike.h"
#include "common/base/text.h"
#include "common/command/option_values.h"
#include "common/command/time_text.h"

namespace espalier::command {
namespace {

constexpr std::size_t kShownEntries = 20;

std::chrono::milliseconds sentAt(const wire::RoomEntry& entry) {
  return std::chrono::milliseconds(static_cast<std::chrono::milliseconds::rep>(entry.atMs));
}

// What people read of a room: messages, and that it opened.
bool isShown(const wire::RoomEntry& entry) {
  return entry.kind == wire::RoomEntry::Kind::message ||
         entry.kind == wire::RoomEntry::Kind::opened;
}

struct Wanted {
  RoomName room;
  std::size_t most = kShownEntries;
};

Result<Wanted> wantedOf(const std::vector<std::string>& values) {
  Wanted wanted{*RoomName::parse("lobby")};
  std::optional<std::uint64_t> last;
  if (!values.empty()) {
    if (const auto number = parseNumber(values.back(), 1, limits::kRoomMessages)) last = *number;
  }
  // A room may have a number as its name.
  const bool hasCount = last && (values.size() == 2 || !values[0].starts_with('#'));
  if (hasCount) wanted.most = static_cast<std::size_t>(*last);
  if (values.size() == 2 && !hasCount) {
    return Error{ErrorCode::usage, fmt::format("N is 1 to {}", limits::kRoomMessages)};
  }
  if (values.size() == 2 || (values.size() == 1 && !hasCount)) {
    auto named = roomOf(values[0]);
    if (!named) return named.error();
    wanted.room = *std::move(named);
  }
  return wanted;
}

}  // namespace

Result<RoomName> roomOf(std::string_view typed) {
  if (typed.starts_with('#')) typed.remove_prefix(1);
  return RoomName::parse(typed);
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> gapsIn(
    const std::vector<wire::RoomEntry>& entries, std::size_t most) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps;
  std::uint64_t last = 0;
  bool mayBegin = entries.size() >= most;
  for (const auto& entry : entries) {
    if (entry.number > last + 1 && !mayBegin) gaps.emplace_back(last + 1, entry.number - 1);
    mayBegin = false;
    last = entry.number;
  }
  return gaps;
}

Command historyCommand(HistoryOf historyOf) {
  Command command{.name = "history",
                  .usage = "history [ROOM] [N]",
                  .summary = "show the last messages of a room",
                  .details =
                      "20, or N up to 1,000, of the lobby without a ROOM. One whose name is a\n"
                      "number is written with a #.",
                  .maxValues = 2,
                  .kinds = {Kind::room, Kind::none}};
  command.handler = [historyOf = std::move(historyOf)](const Arguments& arguments,
                                                       Context& context) {
    const auto wanted = wantedOf(arguments.values);
    if (!wanted) return Outcome::failed("history", wanted.error());
    auto history = historyOf(wanted->room, wanted->most, context.stop);
    if (!history) return Outcome::failed("history", history.error());
    return Outcome::done("history", HistoryOutcome{*std::move(history)});
  };
  return command;
}

void addMembers(Json& data, const HistoryOutcome& outcome) {
  const auto& history = outcome.history;
  data["room"] = history.room.text();
  if (history.isClosed) data["open"] = false;
  if (history.more > 0) data["more"] = history.more;
  if (!history.problem.empty()) data["problem"] = history.problem;
  data["missing"] = Json::array();
  for (const auto& [from, to] : history.missing) {
    data["missing"].push_back({{"from", from}, {"to", to}});
  }
  data["messages"] = Json::array();
}

const char* entriesNameOf(const HistoryOutcome& /*outcome*/) {
  return "messages";
}

void eachEntryOf(const HistoryOutcome& outcome, const EachEntry& each) {
  for (const auto& entry : outcome.history.entries) {
    if (!isShown(entry)) continue;
    Json data;
    data["number"] = entry.number;
    data["epoch"] = entry.position.epoch.counter;
    data["at"] = isoTime(sentAt(entry));
    if (entry.kind == wire::RoomEntry::Kind::opened) {
      data["opened"] = true;
    } else {
      data["from"] = entry.author.text();
      data["text"] = entry.text;
      if (entry.isApart) data["apart"] = true;
    }
    each(data);
  }
}

void writeTextOf(const HistoryOutcome& outcome, const Write& write) {
  const auto& history = outcome.history;
  if (history.isClosed) write("nothing is shown before the chat opens\n");
  if (history.more > 0) {
    write(fmt::format("({} {} older than these and left out: ask for fewer)\n", history.more,
                      history.more == 1 ? "is" : "are"));
  }
  auto missing = history.missing.begin();
  for (const auto& entry : history.entries) {
    if (missing != history.missing.end() && missing->second < entry.number) {
      write(fmt::format("({} to {} are not kept any more)\n", missing->first, missing->second));
      ++missing;
    }
    if (!isShown(entry)) continue;
    const auto at = localTime(sentAt(entry));
    if (entry.kind == wire::RoomEntry::Kind::opened) {
      write(fmt::format("{}  the chat is open\n", at));
      continue;
    }
    write(fmt::format("{}  {}: {}{}\n", at, shownName(entry.author.text()), escaped(entry.text),
                      entry.isApart ? " (while apart)" : ""));
  }
  if (!history.problem.empty()) write(fmt::format("({})\n", escaped(history.problem)));
}

}  // namespace espalier::command
