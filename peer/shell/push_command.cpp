#include "peer/shell/push_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/limits.h"
#include "peer/shell/push_outcome.h"

namespace espalier::peer::shell {

using command::Arguments;
using command::Command;
using command::Context;
using command::Json;
using command::Kind;
using command::Outcome;
namespace {

Outcome known(PushService& service, Context& context) {
  auto reports = service.pushes(context.stop);
  if (!reports) return Outcome::failed("push", reports.error());
  return Outcome::done("push", KnownPushes{*std::move(reports)});
}

// The ids of --to, which stand with spaces or commas between them.
Result<std::vector<PeerId>> targets(const Arguments& arguments) {
  std::vector<PeerId> to;
  auto left = arguments.value("--to").value_or("");
  while (!left.empty()) {
    const auto end = std::min(left.find_first_of(", "), left.size());
    auto id = PeerId::parse(left.substr(0, end));
    if (!id) return id.error();
    if (std::find(to.begin(), to.end(), *id) == to.end()) to.push_back(*id);
    left.erase(0, end + 1);
  }
  return to;
}

// Of a push that has ended.
std::optional<Error> errorOf(const PushReport& report) {
  if (report.interrupted) {
    return Error{ErrorCode::interrupted,
                 report.goesOn ? "interrupted; the push goes on: another peer has everything"
                               : "interrupted; the push is cancelled"};
  }
  if (report.peers.empty()) return Error{ErrorCode::failed, "no other peer is in the network"};
  const bool all = verifiedCount(report) == report.peers.size();
  if (!all || report.others != 0u) return Error{ErrorCode::partial, pushSummary(report)};
  return std::nullopt;
}

Outcome push(PushService& service, const Arguments& arguments, Context& context) {
  if (arguments.values.empty() && arguments.flags.empty()) return known(service, context);
  if (arguments.values.empty()) {
    return Outcome::failed(
        "push", {ErrorCode::usage, "push: an argument is missing: PATHs come before --to"});
  }
  auto to = targets(arguments);
  if (!to) return Outcome::failed("push", {ErrorCode::usage, to.error().message});
  PushRequest request{{}, arguments.values, std::move(*to), arguments.has("--wait")};
  for (const auto& path : arguments.values) request.paths.push_back(localPath(context, path));
  const auto onChange = [&](const PushReport& report) {
    if (context.progress) {
      context.progress(
          {pushSummary(report), verifiedCount(report), report.peers.size(), command::Unit::none});
    }
    if (context.event) {
      Json event;
      event["command"] = "push";
      event["event"] = "progress";
      event.update(pushProgressData(report));
      context.event(event);
    }
  };
  auto report = service.push(request, context.stop, onChange, context.progress);
  if (!report) return Outcome::failed("push", report.error());
  const auto error = errorOf(*report);
  auto outcome = Outcome::done("push", PushOutcome{*std::move(report)});
  return error ? std::move(outcome).withError(*error) : outcome;
}

}  // namespace

Command pushCommand(PushService& service) {
  Command command;
  command.name = "push";
  command.usage = "push [PATH…] [--to ID…] [--wait]";
  command.summary = "send files to every peer, and show which peers have verified copies";
  command.details =
      "PATH is a file or a folder, else the name of one as `list` shows it, or a glob of such\n"
      "names.\n"
      "Each peer that accepts pushes (peer --accept-push) receives the files, with their\n"
      "folders, in its downloads folder, and forwards them meanwhile. The command ends when\n"
      "every peer has the files, declined, failed or is out of reach; the exit code is 3 if any\n"
      "peer lacks them. --to ID ID: only to these peers. --wait also waits for peers out of\n"
      "reach. Ctrl-C cancels the push, unless another peer has everything by then.\n"
      "Without a PATH: shows the pushes that this peer knows of.";
  command.flags = {{"--to", "ID…", Kind::peer, true}, {"--wait", "", Kind::none}};
  command.maxValues = limits::kCommandWords;
  command.kinds = {Kind::localPath};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    return push(service, arguments, context);
  };
  return command;
}

}  // namespace espalier::peer::shell
