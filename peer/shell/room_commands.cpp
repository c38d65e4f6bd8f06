#include "peer/shell/room_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/history_command.h"
#include "common/command/words.h"
#include "peer/core/rooms/room_views.h"
#include "peer/shell/private_commands.h"
#include "peer/shell/room_lines.h"
#include "peer/shell/room_outcomes.h"

namespace espalier::peer::shell {

using command::Arguments;
using command::Command;
using command::Context;
using command::Json;
using command::Kind;
using command::Outcome;
using command::roomOf;

namespace {

RoomName lobby() {
  return *RoomName::parse(kLobby);
}

std::optional<std::uint64_t> numberOf(std::string_view text, std::uint64_t least,
                                      std::uint64_t most) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, failed] = std::from_chars(text.data(), end, number);
  if (failed != std::errc() || rest != end || number < least || number > most) return std::nullopt;
  return number;
}

// --- join, part

Outcome join(RoomService& service, const Arguments& arguments, Context& context) {
  const auto room = roomOf(arguments.values[0]);
  if (!room) return Outcome::failed("join", room.error());
  std::uint32_t opensAt = 0;
  if (const auto typed = arguments.value("--opens-at")) {
    const auto number = numberOf(*typed, 2, limits::kMembers);
    if (!number) {
      return Outcome::failed(
          "join", {ErrorCode::usage, fmt::format("--opens-at takes 2 to {}", limits::kMembers)});
    }
    opensAt = static_cast<std::uint32_t>(*number);
  }
  auto joined = service.join(*room, opensAt, context.stop);
  if (!joined) return Outcome::failed("join", joined.error());
  return Outcome::done("join", JoinOutcome{*std::move(joined)});
}

Command joinCommand(RoomService& service) {
  Command command{
      .name = "join",
      .usage = "join ROOM [--opens-at N]",
      .summary = "go into a room, and make it if need be",
      .details =
          "You are in it until you part, also after a restart. --opens-at N: what is said\n"
          "in a new room is shown once N members have been there at the same time.",
      .flags = {{"--opens-at", "N"}},
      .minValues = 1,
      .maxValues = 1,
      .kinds = {Kind::room}};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    return join(service, arguments, context);
  };
  return command;
}

Command partCommand(RoomService& service) {
  Command command{.name = "part",
                  .usage = "part ROOM",
                  .summary = "leave a room",
                  .minValues = 1,
                  .maxValues = 1,
                  .kinds = {Kind::room}};
  command.handler = [&service](const Arguments& arguments, Context&) {
    const auto room = roomOf(arguments.values[0]);
    if (!room) return Outcome::failed("part", room.error());
    const auto parted = service.part(*room);
    if (!parted) return Outcome::failed("part", parted.error());
    return Outcome::done("part", PartOutcome{*room});
  };
  return command;
}

// --- say

struct Saying {
  RoomName room;
  std::string text;
};

// "#fleece hello", "hello"
Result<Saying> sayingOf(std::string_view typed) {
  if (!typed.starts_with('#')) return Saying{lobby(), std::string(typed)};
  const auto end = std::min(typed.find_first_of(" \t"), typed.size());
  auto room = roomOf(typed.substr(0, end));
  if (!room) return room.error();
  const auto text = command::trimmed(typed.substr(end));
  if (text.empty()) return Error{ErrorCode::usage, "there is nothing to say: say [#ROOM] TEXT…"};
  return Saying{*std::move(room), std::string(text)};
}

Outcome say(RoomService& service, const Saying& saying, Context& context) {
  auto said = service.say(saying.room, saying.text, context.stop);
  if (!said) return Outcome::failed("say", said.error());
  const Error error = said->error;
  const bool isSaid = said->number > 0;
  auto outcome = Outcome::done("say", SayOutcome{*std::move(said)});
  return isSaid ? outcome : std::move(outcome).withError(error);
}

Command sayCommand(RoomService& service) {
  Command command{
      .name = "say",
      .usage = "say [#ROOM] TEXT…",
      .summary = "say something in the lobby, or in a room",
      .details =
          "Ends when it is on the disks of the metaservers. TEXT is taken as it is typed,\n"
          "quotes included. A text for the lobby that begins with #: say #lobby #…",
      .minValues = 1,
      .maxValues = limits::kCommandWords,
      .textAt = 0,
      .kinds = {Kind::roomText, Kind::text}};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    std::string typed;
    for (const auto& value : arguments.values) typed += (typed.empty() ? "" : " ") + value;
    const auto saying = sayingOf(typed);
    if (!saying) return Outcome::failed("say", saying.error());
    return say(service, *saying, context);
  };
  return command;
}

// --- rooms, who

Command roomsCommand(RoomService& service) {
  Command command{.name = "rooms",
                  .usage = "rooms",
                  .summary = "list the rooms: members, open or not, unread messages",
                  .details =
                      "Unread is what others said since you last said something there, or\n"
                      "looked at it with history or chat."};
  command.handler = [&service](const Arguments&, Context& context) {
    auto listing = service.rooms(context.stop);
    if (!listing) return Outcome::failed("rooms", listing.error());
    return Outcome::done("rooms", RoomsOutcome{*std::move(listing)});
  };
  return command;
}

Command whoCommand(RoomService& service) {
  Command command{.name = "who",
                  .usage = "who [ROOM]",
                  .summary = "list the members of a room, or of the network",
                  .details = "With the metaserver at which each is, and since when it is there.",
                  .maxValues = 1,
                  .kinds = {Kind::room}};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    std::optional<RoomName> room;
    if (!arguments.values.empty()) {
      auto named = roomOf(arguments.values[0]);
      if (!named) return Outcome::failed("who", named.error());
      room = *std::move(named);
    }
    auto who = service.who(room, context.stop);
    if (!who) return Outcome::failed("who", who.error());
    return Outcome::done("who", WhoOutcome{std::move(room), *std::move(who)});
  };
  return command;
}

// --- chat

// One line of the mode. The outcome of what is said is shown only if it fails.
void chatLine(RoomService& service, const RoomName& room, const std::string& line,
              Context& context) {
  if (line.starts_with('/') || line.starts_with("$private ")) {
    if (context.run) context.run(line.starts_with('/') ? line.substr(1) : line);
    return;
  }
  const auto said = service.say(room, line, context.stop);
  if (said && said->number > 0) return;
  const auto& error = said ? said->error : said.error();
  if (context.say) context.say(error.message);
}

Outcome chat(RoomService& service, const Arguments& arguments, Context& context) {
  if (!context.ask) {
    return Outcome::failed("chat", {ErrorCode::usage,
                                    "chat asks for lines: without a terminal "
                                    "use say [#ROOM] TEXT…"});
  }
  auto room = arguments.values.empty() ? lobby() : roomOf(arguments.values[0]);
  if (!room) return Outcome::failed("chat", room.error());
  auto joined = service.join(*room, 0, context.stop);
  if (!joined) return Outcome::failed("chat", joined.error());
  service.read(*room);
  if (context.say) {
    context.say(fmt::format("{}: every line is said there; /COMMAND runs a command, Ctrl-D ends",
                            escaped(room->text())));
    if (joined->isConfirmed && !joined->isOpen) {
      context.say(gateLine(joined->members, joined->opensAt));
    }
  }
  const auto question = escaped(room->text()) + "> ";
  while (!context.stop.stop_requested()) {
    const auto line = context.ask(question);
    if (!line) break;
    if (!line->empty()) chatLine(service, *room, *line, context);
  }
  service.read(*room);
  if (context.stop.stop_requested()) {
    return Outcome::failed("chat", {ErrorCode::interrupted, "interrupted"});
  }
  return Outcome::done("chat", PartOutcome{*room});
}

Command chatCommand(RoomService& service) {
  Command command{
      .name = "chat",
      .usage = "chat [ROOM]",
      .summary = "say every line in the lobby, or in a room, until Ctrl-D",
      .details = "A line that begins with / is a command: /who. $private ID TEXT works, too.",
      .maxValues = 1,
      .kinds = {Kind::room}};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    return chat(service, arguments, context);
  };
  return command;
}

// --- watch

void show(const Event& event, Context& context) {
  if (context.event) {
    if (const auto* happened = std::get_if<RoomHappened>(&event)) {
      context.event(roomEvent(*happened));
    } else if (const auto* message = std::get_if<PrivateReceived>(&event)) {
      context.event(privateEvent(*message));
    } else {
      context.event(Json{{"event", "missed"}});
    }
    return;
  }
  if (context.showsNotices || !context.say) return;
  if (const auto* happened = std::get_if<RoomHappened>(&event)) {
    context.say(roomLine(*happened));
  } else if (const auto* message = std::get_if<PrivateReceived>(&event)) {
    context.say(privateLine(message->from, message->text, message->isOtherThanBefore));
  } else {
    context.say("more has happened than could be shown: history shows it");
  }
}

void beginWatch(Context& context) {
  if (context.event) return context.event(Json{{"event", "watching"}});
  if (context.say) context.say("watching: Ctrl-C ends");
}

Command watchCommand(RoomService& service) {
  Command command{
      .name = "watch",
      .usage = "watch [ROOM…]",
      .summary = "show what happens in rooms until interrupted",
      .details =
          "With --json an object a line. Without a ROOM everything: all rooms that you are\n"
          "in, and private messages.",
      .maxValues = limits::kRoomsOfPeer + 1,
      .kinds = {Kind::room}};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    std::vector<RoomName> rooms;
    for (const auto& value : arguments.values) {
      auto room = roomOf(value);
      if (!room) return Outcome::failed("watch", room.error());
      rooms.push_back(*std::move(room));
    }
    const auto done = service.watch(
        rooms, [&] { beginWatch(context); }, [&](const Event& event) { show(event, context); },
        context.stop);
    if (!done) return Outcome::failed("watch", done.error());
    return Outcome::failed("watch", {ErrorCode::interrupted, "interrupted"});
  };
  return command;
}

}  // namespace

std::vector<Command> roomCommands(RoomService& service) {
  return {roomsCommand(service),
          joinCommand(service),
          partCommand(service),
          sayCommand(service),
          whoCommand(service),
          command::historyCommand([&service](const auto& room, std::size_t most, auto stop) {
            return service.history(room, most, std::move(stop));
          }),
          chatCommand(service),
          watchCommand(service)};
}

}  // namespace espalier::peer::shell
