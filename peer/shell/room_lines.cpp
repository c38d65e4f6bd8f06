#include "peer/shell/room_lines.h"

#include <fmt/format.h>

#include "common/base/look_alike.h"
#include "common/base/text.h"
#include "peer/shell/outcome_parts.h"

namespace espalier::peer::shell {

using command::Json;
using Happening = RoomHappened::Kind;

std::string gateLine(std::uint64_t members, std::uint64_t opensAt) {
  return fmt::format("{} of {} {} here: the chat opens at {}", members, opensAt,
                     members == 1 ? "is" : "are", opensAt);
}

namespace {

std::string missingLine(const RoomHappened& event) {
  const std::string numbers =
      event.number == event.lastNumber
          ? fmt::format("message {} is", event.number)
          : fmt::format("messages {} to {} are", event.number, event.lastNumber);
  const std::string after =
      event.after.count() == 0 ? "" : fmt::format("after {} and ", localTime(event.after));
  return fmt::format("{} missing, sent {}before {}", numbers, after, localTime(event.at));
}

}  // namespace

std::string roomLine(const RoomHappened& event) {
  const std::string room = escaped(event.room);
  const std::string from = shownName(event.from);
  switch (event.kind) {
    case Happening::message:
      return fmt::format("{}  {}: {}{}", room, from, escaped(event.text),
                         event.isApart ? " (while apart)" : "");
    case Happening::opened:
      return fmt::format("{}: the chat is open", room);
    case Happening::joined:
      return fmt::format("{}: {} joined", room, from);
    case Happening::left:
      return fmt::format("{}: {} left", room, from);
    case Happening::missing:
      return fmt::format("{}: {}", room, missingLine(event));
    case Happening::waits:
      return fmt::format("{}: {}", room, gateLine(event.members, event.opensAt));
    case Happening::refused:
      return fmt::format("{}: you are not in it: {}", room, escaped(event.text));
  }
  return {};
}

Json roomEvent(const RoomHappened& event) {
  Json data;
  const auto begin = [&](const char* name) {
    data["event"] = name;
    data["room"] = event.room;
  };
  switch (event.kind) {
    case Happening::message:
      begin("message");
      data["number"] = event.number;
      data["epoch"] = event.epoch;
      data["at"] = isoTime(event.at);
      data["from"] = event.from;
      data["text"] = event.text;
      if (event.isOwn) data["own"] = true;
      if (event.namesUser) data["naming"] = true;
      if (event.isApart) data["apart"] = true;
      break;
    case Happening::opened:
      begin("opened");
      data["number"] = event.number;
      data["epoch"] = event.epoch;
      data["at"] = isoTime(event.at);
      break;
    case Happening::joined:
    case Happening::left:
      begin(event.kind == Happening::joined ? "joined" : "left");
      data["id"] = event.from;
      break;
    case Happening::missing:
      begin("missing");
      data["from"] = event.number;
      data["to"] = event.lastNumber;
      if (event.after.count() > 0) data["after"] = isoTime(event.after);
      data["before"] = isoTime(event.at);
      break;
    case Happening::waits:
      begin("waits");
      data["members"] = event.members;
      data["opensAt"] = event.opensAt;
      break;
    case Happening::refused:
      begin("refused");
      data["why"] = event.text;
      break;
  }
  return data;
}

Json privateEvent(const PrivateReceived& message) {
  Json data;
  data["event"] = "private";
  data["at"] = isoTime(message.at);
  data["from"] = message.from;
  data["text"] = message.text;
  if (message.isOtherThanBefore) data["otherThanBefore"] = true;
  return data;
}

}  // namespace espalier::peer::shell
