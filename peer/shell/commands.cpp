#include "peer/shell/commands.h"

#include <fmt/format.h>

#include <memory>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "peer/shell/file_search.h"
#include "peer/shell/get_command.h"
#include "peer/shell/push_command.h"
#include "peer/shell/render.h"
#include "peer/shell/transfer_commands.h"

namespace espalier::peer::shell {

using command::Arguments;
using command::Command;
using command::Context;
using command::Kind;
using command::Outcome;
using command::outcomeOf;

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
  Outcome outcome = Outcome::done(findData(matches->result));
  std::optional<Error> error;
  if (context.stop.stop_requested()) {
    error = {ErrorCode::interrupted, "interrupted"};
  } else if (matches->result.files.empty()) {
    error = matches->notFound(pattern);
  }
  if (error) {
    outcome.data["error"] = command::errorData(*error);
    outcome.exitCode = exitCode(error->code);
  }
  return outcome;
}

Outcome list(ShareService& service, const std::optional<PeerId>& peer, Context& context) {
  const auto report = service.list(peer, context.stop);
  if (!report) return Outcome::failed("list", report.error());
  Outcome outcome = Outcome::done(listData(*report));
  if (report->more > 0) {
    const Error error{
        ErrorCode::partial,
        fmt::format("{} shares more than the {} that a list takes", escaped(report->peer.text()),
                    counted(report->files.size(), "file"))};
    outcome.data["error"] = command::errorData(error);
    outcome.exitCode = exitCode(error.code);
  }
  return outcome;
}

// As the original: a file to fetch, or nothing, and then others may fetch.
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
  Json data;
  data["command"] = "2";
  data["shared"] = status->sharedFiles;
  return Outcome::done(std::move(data));
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
          "--force overwrites a file that differs; -v shows what each source gives.",
      .flags = {{"-o", "PATH", Kind::localPath}, {"--force"}, {"-v"}},
      .minValues = 1,
      .maxValues = limits::kCommandWords,
      .kinds = {Kind::sharedName},
      .text = getText};
  command.handler = [get](const Arguments& arguments, Context& context) {
    auto told = reporting(context, "get", arguments.has("-v"));
    return get->run(arguments.values, arguments.value("-o"), arguments.has("--force"), told);
  };
  return command;
}

Command twoCommand(StatusService& service, const Getter& get) {
  Command command{.name = "2",
                  .usage = "2",
                  .summary = "asks for a file name, then does as get",
                  .text = getText};
  command.handler = [&service, get](const Arguments&, Context& context) {
    return two(service, *get, context);
  };
  return command;
}

Command findCommand(SearchService& searches, ShareService& share) {
  Command command{
      .name = "find",
      .usage = "find PATTERN",
      .summary = "who has what: name, size, holders, root",
      .details =
          "A pattern without any of *?[ is looked for anywhere in the name, any case; several\n"
          "words in quotes each of them. With them it is a name that is exactly so, else a glob "
          "on\n"
          "the whole name, which minds the case. 64 hexadecimal digits are a name that is exactly\n"
          "so, else a file root. The last line says how complete the answer is.",
      .minValues = 1,
      .maxValues = 1,
      .kinds = {Kind::sharedName},
      .text = findText};
  command.handler = [&searches, &share](const Arguments& arguments, Context& context) {
    return find(searches, share, arguments.values[0], context);
  };
  return command;
}

Command listCommand(ShareService& service) {
  Command command{.name = "list",
                  .usage = "list [PEER]",
                  .summary = "what this peer, or that one, shares",
                  .maxValues = 1,
                  .kinds = {Kind::peer},
                  .text = listText};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    std::optional<PeerId> peer;
    if (!arguments.values.empty()) {
      auto id = PeerId::parse(arguments.values[0]);
      if (!id) return Outcome::failed("list", id.error());
      peer = *id;
    }
    return list(service, peer, context);
  };
  return command;
}

Command shareCommand(ShareService& service, bool add) {
  const char* name = add ? "share" : "unshare";
  Command command{
      .name = name,
      .usage = fmt::format("{} PATH", name),
      .summary = add ? "add a file or a folder to what is shared"
                     : "take a file or a folder from what is shared",
      .details = add ? "PATH is a path, or a name as `list` shows it that was unshared.\n"
                       "What begins with a dot is shared only if it is named so, or with\n"
                       "--share-hidden; so are all that is below it and has no such name."
                     : "PATH is a path, or a name as `list` shows it. After it nothing at\n"
                       "or below PATH is shared, whatever else was shared above or below,\n"
                       "until that very PATH is shared again.",
      .minValues = 1,
      .maxValues = 1,
      .kinds = {Kind::localPath},
      .text = shareChangeText};
  command.handler = [&service, add, name](const Arguments& arguments, Context& context) {
    const std::string& typed = arguments.values[0];
    const auto path = localPath(context, typed);
    const auto change =
        add ? service.share(path, typed, context.stop) : service.unshare(path, typed, context.stop);
    return outcomeOf(name, change,
                     [&](const ShareChange& done) { return shareChangeData(name, done); });
  };
  return command;
}

Command peersCommand(TopologyService& service) {
  Command command{.name = "peers",
                  .usage = "peers",
                  .summary = "who is linked with this peer",
                  .text = linksText};
  command.handler = [&service](const Arguments&, Context&) {
    return outcomeOf("peers", service.links(), linksData);
  };
  return command;
}

Command statusCommand(StatusService& service) {
  Command command{
      .name = "status", .usage = "status", .summary = "what is going on", .text = statusText};
  command.handler = [&service](const Arguments&, Context&) {
    return outcomeOf("status", service.status(), statusData);
  };
  return command;
}

}  // namespace

Error existsAndDiffers(const std::string& path) {
  return {ErrorCode::failed,
          fmt::format("{} exists and differs: --force overwrites it, -o PATH saves elsewhere",
                      escaped(path))};
}

std::vector<Command> peerCommands(const Services& services, CommandSettings settings) {
  const auto get = std::make_shared<const GetCommand>(services, settings);
  std::vector<Command> commands = {command::topoCommand(services.topology),
                                   twoCommand(services.status, get),
                                   getCommand(get),
                                   findCommand(services.search, services.share),
                                   pushCommand(services.pushes),
                                   listCommand(services.share),
                                   shareCommand(services.share, true),
                                   shareCommand(services.share, false),
                                   peersCommand(services.topology),
                                   statusCommand(services.status)};
  for (auto& each : transferCommands(services.transfers)) commands.push_back(std::move(each));
  commands.push_back(command::whatIfCommand(services.topology));
  commands.push_back(command::stopCommand(services.stop));
  return commands;
}

command::Dispatcher::Names peerNames(const Services& services) {
  return [&searches = services.search, &topology = services.topology](
             Kind kind, const std::string& prefix) -> std::vector<std::string> {
    if (kind == Kind::sharedName) return searches.knownNames(prefix);
    if (kind == Kind::peer) return topology.knownPeers(prefix);
    return {};
  };
}

}  // namespace espalier::peer::shell
