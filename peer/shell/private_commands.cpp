#include "peer/shell/private_commands.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "common/base/limits.h"
#include "common/base/look_alike.h"
#include "common/base/text.h"
#include "peer/shell/outcome_parts.h"

namespace espalier::peer::shell {

using command::Arguments;
using command::Command;
using command::Context;
using command::Json;
using command::Kind;
using command::Outcome;

namespace {

constexpr std::size_t kShownLines = 20;

// --- msg ID TEXT…

struct SentOutcome {
  SentPrivate sent;
};

// {"to":"s4","delivered":false,"waiting":1,"why":"s4 is not in the network"}
void addMembers(Json& data, const SentOutcome& outcome) {
  data["to"] = outcome.sent.to.text();
  data["delivered"] = outcome.sent.isDelivered;
  if (outcome.sent.isDelivered) return;
  data["waiting"] = outcome.sent.waiting;
  data["why"] = outcome.sent.why;
}

std::string textOf(const SentOutcome& outcome) {
  const SentPrivate& sent = outcome.sent;
  const std::string to = escaped(sent.to.text());
  if (sent.isDelivered) return fmt::format("delivered to {}\n", to);
  return fmt::format("{}: it is delivered when both are there ({} for {})\n", sent.why,
                     counted(sent.waiting, "message waits", "messages wait"), to);
}

Outcome send(PrivateService& service, const PeerId& to, const std::string& text, bool isNew,
             Context& context) {
  auto sent = service.send(to, text, isNew, context.stop);
  if (!sent) return Outcome::failed("msg", sent.error());
  const bool isInterrupted = sent->isInterrupted;
  auto outcome = Outcome::done("msg", SentOutcome{*std::move(sent)});
  if (!isInterrupted) return outcome;
  return std::move(outcome).withError(
      {ErrorCode::interrupted, "interrupted: the message stays in the outbox"});
}

// --- msg ID

struct ConversationOutcome {
  PeerId with;
  std::vector<PrivateLine> lines;
};

void addMembers(Json& data, const ConversationOutcome& outcome) {
  data["with"] = outcome.with.text();
  data["messages"] = Json::array();
}

const char* entriesNameOf(const ConversationOutcome& /*outcome*/) {
  return "messages";
}

void eachEntryOf(const ConversationOutcome& outcome, const command::EachEntry& each) {
  for (const auto& line : outcome.lines) {
    Json entry;
    entry["at"] = isoTime(line.at);
    entry["sent"] = line.isSent;
    entry["state"] = line.state;
    entry["text"] = line.text;
    each(entry);
  }
}

void writeTextOf(const ConversationOutcome& outcome, const command::Write& write) {
  const std::string with = escaped(outcome.with.text());
  for (const auto& line : outcome.lines) {
    const bool isUsual = line.state == "delivered" || line.state == "received";
    write(fmt::format("{}  {}: {}{}\n", localTime(line.at), line.isSent ? "you" : with,
                      escaped(line.text), isUsual ? "" : " (" + line.state + ")"));
  }
}

Outcome show(PrivateService& service, const PeerId& with, std::size_t most) {
  auto lines = service.conversation(with, most);
  if (!lines) return Outcome::failed("msg", lines.error());
  return Outcome::done("msg", ConversationOutcome{with, *std::move(lines)});
}

// --- ignore

struct IgnoredOutcome {
  std::vector<PeerId> ids;
  std::optional<PeerId> changed;
  bool isIgnored = false;
};

void addMembers(Json& data, const IgnoredOutcome& outcome) {
  if (outcome.changed) {
    data["id"] = outcome.changed->text();
    data["ignored"] = outcome.isIgnored;
    return;
  }
  data["ids"] = Json::array();
  for (const auto& id : outcome.ids) data["ids"].push_back(id.text());
}

std::string textOf(const IgnoredOutcome& outcome) {
  if (outcome.changed) {
    const auto id = escaped(outcome.changed->text());
    return outcome.isIgnored ? fmt::format("{} is ignored from now on\n", id)
                             : fmt::format("{} is ignored no more\n", id);
  }
  if (outcome.ids.empty()) return "nobody is ignored\n";
  std::string text;
  for (const auto& id : outcome.ids) text += escaped(id.text()) + "\n";
  return text;
}

Outcome ignore(PrivateService& service, const Arguments& arguments, Context& context) {
  if (arguments.values.empty()) {
    auto ids = service.ignored();
    if (!ids) return Outcome::failed("ignore", ids.error());
    return Outcome::done("ignore", IgnoredOutcome{*std::move(ids), std::nullopt});
  }
  if (arguments.has("--list")) {
    return Outcome::failed("ignore", {ErrorCode::usage, "--list takes no id"});
  }
  auto id = PeerId::parse(arguments.values[0]);
  if (!id) return Outcome::failed("ignore", id.error());
  const bool isIgnored = !arguments.has("--undo");
  const auto done = service.ignore(*id, isIgnored, context.stop);
  if (!done) return Outcome::failed("ignore", done.error());
  return Outcome::done("ignore", IgnoredOutcome{{}, *id, isIgnored});
}

Result<std::size_t> linesOf(const Arguments& arguments) {
  const auto typed = arguments.value("-n");
  if (!typed) return kShownLines;
  std::size_t lines = 0;
  const char* end = typed->data() + typed->size();
  const auto [rest, failed] = std::from_chars(typed->data(), end, lines);
  if (failed != std::errc() || rest != end || lines == 0 || lines > limits::kPrivateShown) {
    return Error{ErrorCode::usage, fmt::format("-n takes 1 to {}", limits::kPrivateShown)};
  }
  return lines;
}

Command msgCommand(PrivateService& service) {
  Command command{
      .name = "msg",
      .usage = "msg [--new] ID TEXT… | msg [-n N] ID",
      .summary = "send a private message to a peer, or show those exchanged with it",
      .details =
          "The message goes straight to the peer, past every server. `delivered` means that it is\n"
          "on the other peer's disk. While one of the two is away it waits in the outbox, 30 days\n"
          "at most. It goes only to the instance that you have exchanged messages with; --new\n"
          "writes to another one that has the id now.\n"
          "TEXT is taken as it is typed, quotes included. Without TEXT: the last N messages, 20 "
          "unless told.\n"
          "$private ID TEXT is the same.",
      .aliases = {"$private"},
      .flags = {{"--new"}, {"-n", "N"}},
      .minValues = 1,
      .maxValues = limits::kCommandWords,
      .textAt = 1,
      .kinds = {Kind::person, Kind::text}};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    auto id = PeerId::parse(arguments.values[0]);
    if (!id) return Outcome::failed("msg", id.error());
    if (arguments.values.size() == 1) {
      const auto lines = linesOf(arguments);
      if (!lines) return Outcome::failed("msg", lines.error());
      return show(service, *id, *lines);
    }
    std::string text;
    for (std::size_t i = 1; i < arguments.values.size(); ++i) {
      text += (i == 1 ? "" : " ") + arguments.values[i];
    }
    return send(service, *id, text, arguments.has("--new"), context);
  };
  return command;
}

Command ignoreCommand(PrivateService& service) {
  Command command{.name = "ignore",
                  .usage = "ignore ID | ignore --undo ID | ignore --list",
                  .summary = "take no messages from a peer",
                  .details =
                      "By its id, and by the instance that you have exchanged messages\n"
                      "with, whatever its id is later. It is told that you take none.",
                  .flags = {{"--list"}, {"--undo"}},
                  .maxValues = 1,
                  .kinds = {Kind::person}};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    return ignore(service, arguments, context);
  };
  return command;
}

}  // namespace

std::vector<Command> privateCommands(PrivateService& service) {
  std::vector<Command> commands;
  commands.push_back(msgCommand(service));
  commands.push_back(ignoreCommand(service));
  return commands;
}

std::string privateLine(const std::string& from, const std::string& text, bool isOtherThanBefore) {
  return fmt::format("{} ({}): {}", shownName(from),
                     isOtherThanBefore ? "private, another peer than before" : "private",
                     escaped(text));
}

}  // namespace espalier::peer::shell
