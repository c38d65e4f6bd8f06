#include "peer/shell/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "peer/shell/feedback_commands.h"
#include "peer/shell/file_search.h"
#include "peer/shell/find_outcome.h"
#include "peer/shell/get_command.h"
#include "peer/shell/private_commands.h"
#include "peer/shell/push_command.h"
#include "peer/shell/room_commands.h"
#include "peer/shell/share_commands.h"
#include "peer/shell/status_commands.h"
#include "peer/shell/transfer_commands.h"

namespace espalier::peer::shell {

using command::Arguments;
using command::Command;
using command::Context;
using command::Json;
using command::Kind;
using command::Outcome;

namespace {

using Getter = std::shared_ptr<const GetCommand>;

Outcome find(SearchService& searches, ShareService& share, const std::string& pattern,
             Context& context) {
  const auto onHits = [&](std::uint64_t hits, std::uint64_t searched) {
    if (!context.progress) return;
    context.progress({fmt::format("{} so far, peers searched", counted(hits, "hit")), searched, 0,
                      command::Unit::items});
  };
  const auto matches = FileSearch(searches, share, context).pattern(pattern, onHits);
  if (!matches) return Outcome::failed("find", matches.error());
  std::optional<Error> error;
  if (context.stop.stop_requested()) {
    error = {ErrorCode::interrupted, "interrupted"};
  } else if (matches->result.files.empty()) {
    error = matches->notFound(pattern);
  }
  auto outcome = Outcome::done("find", FindOutcome{matches->result, error.has_value()});
  return error ? std::move(outcome).withError(*error) : outcome;
}

// The outcome of `2` without a file name.
struct SharedCount {
  std::uint64_t files = 0;
};

void addMembers(Json& data, const SharedCount& shared) {
  data["shared"] = shared.files;
}

std::string textOf(const SharedCount& shared) {
  return fmt::format("others can fetch your {} at any time\n", counted(shared.files, "file"));
}

// Of 002: asks for a file to fetch. Without one it says that others can fetch.
Outcome two(StatusService& service, const GetCommand& get, Context& context) {
  if (!context.ask) {
    return Outcome::failed(
        "2", {ErrorCode::usage, "2 asks for a file name: without a terminal use get NAME"});
  }
  const auto name = context.ask("file to download (Enter for none)> ");
  if (context.stop.stop_requested()) {
    return Outcome::failed("2", {ErrorCode::interrupted, "interrupted"});
  }
  if (name && !name->empty()) {
    auto told = reporting(context, "2", false);
    return get.run({*name}, std::nullopt, false, told);
  }
  const auto status = service.status();
  if (!status) return Outcome::failed("2", status.error());
  return Outcome::done("2", SharedCount{status->sharedFiles});
}

Command getCommand(const Getter& get) {
  Command command{
      .name = "get",
      .usage = "get NAME… [-o PATH] [--force] [-v]",
      .summary = "find, fetch and verify files",
      .details =
          "NAME is a file's path as `find` shows it, else a glob (get '*.txt'), or a file root of\n"
          "64 hexadecimal digits; with a slash at its end, a folder: everything below it.\n"
          "Files go to the downloads folder, or to PATH, a file or a folder. A name that begins\n"
          "with a dot is saved only if you typed it, or with -o.\n"
          "--force overwrites a file that differs; -v shows the rate of each source.",
      .flags = {{"-o", "PATH", Kind::localPath}, {"--force"}, {"-v"}},
      .minValues = 1,
      .maxValues = limits::kCommandWords,
      .kinds = {Kind::sharedName}};
  command.handler = [get](const Arguments& arguments, Context& context) {
    auto told = reporting(context, "get", arguments.has("-v"));
    return get->run(arguments.values, arguments.value("-o"), arguments.has("--force"), told);
  };
  return command;
}

Command twoCommand(StatusService& service, const Getter& get) {
  Command command{.name = "2", .usage = "2", .summary = "ask for a file name, then get that file"};
  command.handler = [&service, get](const Arguments&, Context& context) {
    return two(service, *get, context);
  };
  return command;
}

Command findCommand(SearchService& searches, ShareService& share) {
  Command command{
      .name = "find",
      .usage = "find PATTERN",
      .summary = "search all peers for files: name, size, holders, root",
      .details =
          "Without *, ? and [ a PATTERN matches any part of a name, in upper or lower case; of\n"
          "several words in quotes each must match. With them it is an exact name, else a glob "
          "for\n"
          "the whole name, case-sensitive. 64 hexadecimal digits are an exact name, else a file\n"
          "root. The last line says how complete the answer is.",
      .minValues = 1,
      .maxValues = 1,
      .kinds = {Kind::sharedName}};
  command.handler = [&searches, &share](const Arguments& arguments, Context& context) {
    return find(searches, share, arguments.values[0], context);
  };
  return command;
}

}  // namespace

std::vector<Command> peerCommands(const Services& services, CommandSettings settings) {
  const auto get = std::make_shared<const GetCommand>(services, settings);
  std::vector<Command> commands = {command::topoCommand(services.topology),
                                   twoCommand(services.status, get),
                                   getCommand(get),
                                   findCommand(services.search, services.share),
                                   pushCommand(services.pushes),
                                   listCommand(services.share),
                                   shareCommand(services.share),
                                   unshareCommand(services.share),
                                   peersCommand(services.topology),
                                   statusCommand(services.status)};
  for (auto& each : transferCommands(services.transfers)) commands.push_back(std::move(each));
  for (auto& each : privateCommands(services.privates)) commands.push_back(std::move(each));
  for (auto& each : roomCommands(services.rooms)) commands.push_back(std::move(each));
  for (auto& each : feedbackCommands(services.feedback)) commands.push_back(std::move(each));
  commands.push_back(command::whatIfCommand(services.topology));
  commands.push_back(command::stopCommand(services.stop));
  return commands;
}

command::Dispatcher::Names peerNames(const Services& services) {
  return [services](Kind kind, const std::string& prefix) -> std::vector<std::string> {
    if (kind == Kind::sharedName) return services.search.knownNames(prefix);
    if (kind == Kind::peer) return services.topology.knownPeers(prefix);
    if (kind == Kind::room || kind == Kind::roomText) {
      const bool hasSign = prefix.starts_with('#');
      if (kind == Kind::roomText && !hasSign) return {};
      auto rooms = services.rooms.names(hasSign ? prefix.substr(1) : prefix);
      if (hasSign) std::ranges::for_each(rooms, [](std::string& room) { room.insert(0, "#"); });
      return rooms;
    }
    if (kind != Kind::person) return {};
    auto ids = services.topology.knownPeers(prefix);
    for (auto& id : services.privates.correspondents(prefix)) {
      if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(std::move(id));
    }
    return ids;
  };
}

}  // namespace espalier::peer::shell
