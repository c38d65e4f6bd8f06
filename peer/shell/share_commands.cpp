#include "peer/shell/share_commands.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/text.h"
#include "common/command/printing.h"
#include "peer/shell/outcome_parts.h"

namespace espalier::peer::shell {

using command::Arguments;
using command::Command;
using command::Context;
using command::Kind;
using command::Outcome;

namespace {

// --- list

struct ListOutcome {
  ShareReport report;
};

// {"peer":"s3","files":[…]}; also "indexing":true and "more":12.
void addMembers(Json& data, const ListOutcome& outcome) {
  const ShareReport& report = outcome.report;
  data["peer"] = report.peer.text();
  data["files"] = Json::array();
  if (report.indexing) data["indexing"] = true;
  if (report.more > 0) data["more"] = report.more;
}

const char* entriesNameOf(const ListOutcome& /*outcome*/) {
  return "files";
}

void eachEntryOf(const ListOutcome& outcome, const command::EachEntry& each) {
  for (const auto& file : outcome.report.files) {
    each(fileData(file.name, file.sizeBytes, file.root));
  }
}

void writeTextOf(const ListOutcome& outcome, const command::Write& write) {
  const ShareReport& report = outcome.report;
  // As command::table() does it, without a copy of each line: there may be 100,000.
  std::size_t width = 0;
  std::uint64_t total = 0;
  for (const auto& file : report.files) {
    width = std::max(width, formatSize(file.sizeBytes).size());
    total += file.sizeBytes;
  }
  for (const auto& file : report.files) {
    write(fmt::format("{:>{}}  {}\n", formatSize(file.sizeBytes), width, escaped(file.name)));
  }
  std::string text = fmt::format("{} shares {} ({})", escaped(report.peer.text()),
                                 counted(report.files.size(), "file"), formatSize(total));
  if (report.more > 0) text += fmt::format(" and {} more", report.more);
  if (report.indexing) text += ", and is still indexing";
  write(text + "\n");
}

Outcome list(ShareService& service, const Arguments& arguments, Context& context) {
  std::optional<PeerId> peer;
  if (!arguments.values.empty()) {
    auto id = PeerId::parse(arguments.values[0]);
    if (!id) return Outcome::failed("list", id.error());
    peer = *id;
  }
  auto report = service.list(peer, context.stop);
  if (!report) return Outcome::failed("list", report.error());
  std::optional<Error> lack;
  if (report->more > 0) {
    lack = {ErrorCode::partial,
            fmt::format("{} shares more files than the {} that a list has",
                        escaped(report->peer.text()), counted(report->files.size(), "file"))};
  }
  auto outcome = Outcome::done("list", ListOutcome{*std::move(report)});
  return lack ? std::move(outcome).withError(*lack) : outcome;
}

// --- share, unshare

struct ChangeOutcome {
  bool isAdded = false;  // by share
  ShareChange change;
};

void addMembers(Json& data, const ChangeOutcome& outcome) {
  const ShareChange& change = outcome.change;
  data["path"] = change.path;
  data["files"] = change.files;
  if (change.indexing) data["indexing"] = true;
  for (const auto& each : change.left) {
    data["notShared"].push_back(
        {{"why", each.why}, {"count", each.count}, {"example", each.example}});
  }
}

std::string textOf(const ChangeOutcome& outcome) {
  const ShareChange& change = outcome.change;
  const auto path = escaped(change.path);
  const auto files = counted(change.files, "file");
  if (!outcome.isAdded) {
    return fmt::format("{}: no longer shared, {}{}\n", path, files,
                       change.indexing ? " so far" : "");
  }
  std::string text = fmt::format("{}: shared, {}{}\n", path, files,
                                 change.indexing ? " so far, still indexing" : "");
  for (const auto& each : change.left) {
    const auto others = each.count - 1;
    text += fmt::format("not shared: {}{} {}\n", escaped(each.example),
                        others == 0 ? "" : " and " + counted(others, "other"), each.why);
  }
  return text;
}

Command changeCommand(ShareService& service, bool adds, std::string summary, std::string details) {
  const std::string name = adds ? "share" : "unshare";
  Command command{.name = name,
                  .usage = name + " PATH",
                  .summary = std::move(summary),
                  .details = std::move(details),
                  .minValues = 1,
                  .maxValues = 1,
                  .kinds = {Kind::localPath}};
  command.handler = [&service, adds, name](const Arguments& arguments, Context& context) {
    const std::string& typed = arguments.values[0];
    const auto path = localPath(context, typed);
    auto change = adds ? service.share(path, typed, context.stop)
                       : service.unshare(path, typed, context.stop);
    if (!change) return Outcome::failed(name, change.error());
    return Outcome::done(name, ChangeOutcome{adds, *std::move(change)});
  };
  return command;
}

}  // namespace

Command listCommand(ShareService& service) {
  Command command{.name = "list",
                  .usage = "list [PEER]",
                  .summary = "list the files that this peer, or PEER, shares",
                  .maxValues = 1,
                  .kinds = {Kind::peer}};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    return list(service, arguments, context);
  };
  return command;
}

Command shareCommand(ShareService& service) {
  return changeCommand(service, true, "share a file or a folder",
                       "PATH is a path, or a name that was unshared, as `list` showed it.\n"
                       "A file or a folder whose name begins with a dot is shared only if PATH\n"
                       "names it, or with --share-hidden. What lies below it is shared as\n"
                       "elsewhere: names that begin with a dot are left out.");
}

Command unshareCommand(ShareService& service) {
  return changeCommand(service, false, "stop sharing a file or a folder",
                       "PATH is a path, or a name as `list` shows it. Nothing at or below\n"
                       "PATH is shared any more, whatever was shared above or below it,\n"
                       "until that same PATH is shared again.");
}

}  // namespace espalier::peer::shell
