#include "peer/shell/push_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/printing.h"

namespace espalier::peer::shell {

using command::Arguments;
using command::Command;
using command::Context;
using command::Json;
using command::Kind;
using command::Outcome;
using State = PushedPeer::State;

namespace {

constexpr std::size_t kNamed = 3;  // of each kind, in a line

const char* stateName(State state) {
  switch (state) {
    case State::waiting:
      return "waiting";
    case State::receiving:
      return "receiving";
    case State::verified:
      return "verified";
    case State::declined:
      return "declined";
    case State::failed:
      return "failed";
    case State::outOfReach:
      return "out of reach";
  }
  return "";
}

std::uint64_t countOf(const PushReport& report, State state) {
  return static_cast<std::uint64_t>(
      std::count_if(report.peers.begin(), report.peers.end(),
                    [&](const PushedPeer& peer) { return peer.state == state; }));
}

std::string filesText(const Json& data) {
  const auto& files = data["files"];
  const auto what = files.size() == 1 ? escaped(files[0]["name"].get<std::string>())
                                      : counted(files.size(), "file");
  return fmt::format("{}: {}", what, formatSize(data["size"].get<std::uint64_t>()));
}

std::string ledgerText(const Json& data) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& entry : data["ledger"]) {
    rows.push_back({entry["peer"], entry["state"], entry.value("reason", "")});
    if (rows.back()[2].empty()) rows.back().pop_back();
  }
  return command::table(rows);
}

std::string onePushText(const Json& data) {
  std::string text = fmt::format("{}, verified by {} of {}", filesText(data),
                                 data["verified"].get<std::uint64_t>(),
                                 counted(data["peers"].get<std::uint64_t>(), "peer"));
  if (data.contains("seconds")) {
    const double seconds = data["seconds"].get<double>();
    text += fmt::format(
        " in {}",
        formatDuration(std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9))));
  } else {
    text += fmt::format(", pushed by {}", escaped(data["sender"].get<std::string>()));
  }
  return text + "\n" + ledgerText(data);
}

std::string pushText(const Json& data) {
  if (data.contains("ledger")) return onePushText(data);
  if (!data.contains("pushes")) return {};
  if (data["pushes"].empty()) return "no pushes\n";
  std::string text;
  for (const auto& push : data["pushes"]) text += onePushText(push);
  return text;
}

Json commandData() {
  Json data;
  data["command"] = "push";
  return data;
}

Outcome known(PushService& service, Context& context) {
  const auto reports = service.pushes(context.stop);
  if (!reports) return Outcome::failed("push", reports.error());
  Json data = commandData();
  data["pushes"] = Json::array();
  for (const auto& report : *reports) data["pushes"].push_back(pushData(report));
  return Outcome::done(std::move(data));
}

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

Outcome push(PushService& service, const Arguments& arguments, Context& context) {
  if (arguments.values.empty() && arguments.flags.empty()) return known(service, context);
  if (arguments.values.empty()) {
    return Outcome::failed("push", {ErrorCode::usage, "push what? PATHs come first, then --to"});
  }
  auto to = targets(arguments);
  if (!to) return Outcome::failed("push", {ErrorCode::usage, to.error().message});
  PushRequest request{{}, arguments.values, std::move(*to), arguments.has("--wait")};
  for (const auto& path : arguments.values) request.paths.push_back(localPath(context, path));
  const auto onChange = [&](const PushReport& report) {
    if (context.progress) {
      context.progress({pushSummary(report), countOf(report, State::verified), report.peers.size(),
                        command::Unit::none});
    }
    if (context.event) {
      Json event = commandData();
      event["event"] = "progress";
      event.update(pushData(report));
      event.erase("files");
      context.event(event);
    }
  };
  const auto report = service.push(request, context.stop, onChange, context.progress);
  if (!report) return Outcome::failed("push", report.error());
  Json data = commandData();
  data.update(pushData(*report));
  data["seconds"] = report->seconds;
  Outcome outcome = Outcome::done(std::move(data));
  const bool all = countOf(*report, State::verified) == report->peers.size();
  std::optional<Error> error;
  if (report->interrupted) {
    error = {ErrorCode::interrupted,
             report->goesOn ? "interrupted; the push goes on: another peer has everything"
                            : "interrupted; the push is cancelled"};
  } else if (report->peers.empty()) {
    error = {ErrorCode::failed, "nobody else is in the network"};
  } else if (!all || report->others != 0u) {
    error = {ErrorCode::partial, pushSummary(*report)};
  }
  if (error) {
    outcome.data["error"] = command::errorData(*error);
    outcome.exitCode = exitCode(error->code);
  }
  return outcome;
}

}  // namespace

Json pushData(const PushReport& report) {
  Json data;
  data["push"] = toHex(report.id.view());
  data["sender"] = report.sender.text();
  data["files"] = Json::array();
  for (const auto& file : report.files) {
    data["files"].push_back(
        {{"name", file.name}, {"size", file.sizeBytes}, {"root", toHex(file.root.view())}});
  }
  data["size"] = report.sizeBytes;
  data["verified"] = countOf(report, State::verified);
  data["peers"] = report.peers.size();
  if (report.others != 0u) data["unknown"] = report.others ? Json(*report.others) : Json(nullptr);
  data["ledger"] = Json::array();
  for (const auto& peer : report.peers) {
    Json entry;
    entry["peer"] = peer.id.text();
    entry["state"] = stateName(peer.state);
    if (!peer.reason.empty()) entry["reason"] = peer.reason;
    data["ledger"].push_back(std::move(entry));
  }
  return data;
}

std::string pushSummary(const PushReport& report) {
  std::string text =
      fmt::format("{} of {} verified", countOf(report, State::verified), report.peers.size());
  constexpr std::array kTold = {State::declined, State::failed, State::outOfReach};
  for (const auto state : kTold) {
    std::vector<std::string> names;
    for (const auto& peer : report.peers) {
      if (peer.state == state) names.push_back(peer.id.text());
    }
    if (names.empty()) continue;
    if (names.size() > kNamed + 1) {
      const auto more = names.size() - kNamed;
      names.resize(kNamed);
      names.push_back(fmt::format("{} more", more));
    }
    text += fmt::format("; {} {}", command::listed(names), stateName(state));
  }
  if (!report.others) {
    text += "; who else is in the network is not known: the metaserver is out of reach";
  } else if (*report.others > 0) {
    text += fmt::format("; nothing is known of {}", counted(*report.others, "other peer"));
  }
  return text;
}

Command pushCommand(PushService& service) {
  Command command;
  command.name = "push";
  command.usage = "push [PATH…] [--to ID…] [--wait]";
  command.summary = "hand files to every peer, and see who has them verified";
  command.details =
      "PATH is a file or a folder, else the name of one as `list` shows it, or a glob of such\n"
      "names.\n"
      "Each peer that takes pushes (peer --accept-push) gets the files, with their folders, in "
      "its\n"
      "downloads folder, and hands them on while it receives. Ends when all have them, declined,\n"
      "failed or are out of reach: exit code 3 if anybody lacks them. --to ID ID: only these.\n"
      "--wait waits for those out of reach, too. Ctrl-C cancels it, unless another peer has\n"
      "everything by then. Without a PATH: the pushes that this peer knows of.";
  command.flags = {{"--to", "ID…", Kind::peer, true}, {"--wait", "", Kind::none}};
  command.maxValues = limits::kCommandWords;
  command.kinds = {Kind::localPath};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    return push(service, arguments, context);
  };
  command.text = pushText;
  return command;
}

}  // namespace espalier::peer::shell
