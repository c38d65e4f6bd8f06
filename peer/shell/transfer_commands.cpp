#include "peer/shell/transfer_commands.h"

#include <fmt/format.h>

#include <charconv>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/printing.h"
#include "peer/shell/options.h"

namespace espalier::peer::shell {

using command::Arguments;
using command::Command;
using command::Context;
using command::Json;
using command::Outcome;
using command::outcomeOf;

namespace {

const char* stateName(ActiveTransfer::State state) {
  switch (state) {
    case ActiveTransfer::State::active:
      return "active";
    case ActiveTransfer::State::waiting:
      return "waiting";
    case ActiveTransfer::State::paused:
      return "paused";
  }
  return "";
}

const char* controlName(TransferControl what) {
  switch (what) {
    case TransferControl::pause:
      return "pause";
    case TransferControl::resume:
      return "resume";
    case TransferControl::cancel:
      return "cancel";
  }
  return "";
}

const char* controlled(std::string_view command) {
  return command == "pause" ? "paused" : command == "resume" ? "goes on" : "cancelled";
}

std::string controlText(const Json& data) {
  if (!data.contains("transfers")) return {};
  if (data["transfers"].empty()) return "no downloads\n";
  std::string text;
  for (const auto& each : data["transfers"]) {
    text += fmt::format("{}  {}: {}\n", each["number"].get<std::uint64_t>(),
                        escaped(each["name"].get<std::string>()),
                        controlled(data["command"].get<std::string>()));
  }
  return text;
}

Result<std::vector<std::uint64_t>> numbersOf(const std::vector<std::string>& words) {
  std::vector<std::uint64_t> numbers;
  for (const auto& word : words) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size()) {
      return Error{
          ErrorCode::usage,
          fmt::format("\"{}\" is no download's number: `status` shows them", escaped(word))};
    }
    numbers.push_back(number);
  }
  return numbers;
}

Command controlCommand(TransferService& service, TransferControl what, std::string summary) {
  const std::string name = controlName(what);
  const bool named = what == TransferControl::cancel;  // never everything by mistake
  Command command{.name = name,
                  .usage = name + (named ? " NUMBER…" : " [NUMBER…]"),
                  .summary = std::move(summary),
                  .details =
                      "`status` shows the numbers of downloads. What came is kept: `get`\n"
                      "goes on from there.",
                  .minValues = named ? 1u : 0u,
                  .maxValues = limits::kCommandWords,
                  .text = controlText};
  command.handler = [&service, what, name](const Arguments& arguments, Context&) {
    const auto numbers = numbersOf(arguments.values);
    if (!numbers) return Outcome::failed(name, numbers.error());
    return outcomeOf(name, service.control(what, *numbers), [&](const auto& transfers) {
      Json data;
      data["command"] = name;
      data["transfers"] = Json::array();
      for (const auto& each : transfers) data["transfers"].push_back(transferData(each));
      return data;
    });
  };
  return command;
}

std::string rateText(std::uint64_t rate) {
  return rate == 0 ? "no limit" : formatRate(static_cast<double>(rate));
}

std::string limitText(const Json& data) {
  if (!data.contains("upload")) return {};
  return command::table({{"upload", rateText(data["upload"].get<std::uint64_t>())},
                         {"download", rateText(data["download"].get<std::uint64_t>())}});
}

Outcome limit(TransferService& service, const std::vector<std::string>& words) {
  std::optional<std::uint64_t> upload;
  std::optional<std::uint64_t> download;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const bool known = words[i] == "upload" || words[i] == "download";
    if (!known || i + 1 == words.size()) {
      return Outcome::failed("limit",
                             {ErrorCode::usage, "limit upload RATE, limit download RATE, or both"});
    }
    const auto rate = parseRate(words[i + 1]);
    if (!rate) return Outcome::failed("limit", rate.error());
    (words[i] == "upload" ? upload : download) = *rate;
  }
  const Rates rates = service.limit(upload, download);
  Json data;
  data["command"] = "limit";
  data["upload"] = rates.upload;
  data["download"] = rates.download;
  return Outcome::done(std::move(data));
}

Command limitCommand(TransferService& service) {
  Command command{.name = "limit",
                  .usage = "limit [upload RATE] [download RATE]",
                  .summary = "how fast this peer sends and receives",
                  .details =
                      "RATE is in bytes a second, of all transfers together: 500K, 10M, or\n"
                      "none. Without arguments it shows what holds.",
                  .maxValues = 4,
                  .text = limitText};
  command.handler = [&service](const Arguments& arguments, Context&) {
    return limit(service, arguments.values);
  };
  return command;
}

}  // namespace

Json transferData(const ActiveTransfer& transfer) {
  Json data;
  if (transfer.number > 0) data["number"] = transfer.number;
  data["name"] = transfer.name;
  data["incoming"] = transfer.incoming;
  data["state"] = stateName(transfer.state);
  if (transfer.state == ActiveTransfer::State::waiting) data["place"] = transfer.position;
  data["done"] = transfer.doneBytes;
  data["size"] = transfer.totalBytes;
  data["rate"] = transfer.bytesPerSecond;
  data["peer"] = transfer.peers.empty() ? "" : transfer.peers.front().text();
  if (transfer.incoming) {
    data["sources"] = Json::array();
    for (const auto& peer : transfer.peers) data["sources"].push_back(peer.text());
  } else {
    data["to"] = transfer.to;
  }
  return data;
}

std::vector<std::string> transferRow(const Json& transfer) {
  const bool incoming = transfer["incoming"].get<bool>();
  const auto done = transfer["done"].get<std::uint64_t>();
  const auto size = transfer["size"].get<std::uint64_t>();
  const double rate = transfer["rate"].get<double>();
  const auto state = transfer["state"].get<std::string>();
  std::string what = fmt::format("{}: {} % of {}", transfer["name"].get<std::string>(),
                                 size == 0 ? 100 : done * 100 / size, formatSize(size));
  if (state == "paused") what += ", paused";
  if (state == "waiting")
    what += fmt::format(", position {} in the queue", transfer["place"].get<int>());
  if (rate > 0) what += ", " + formatRate(rate);
  if (rate > 0 && size > done) {
    const std::chrono::duration<double> left(static_cast<double>(size - done) / rate);
    what += fmt::format(", {} left",
                        formatDuration(std::chrono::duration_cast<std::chrono::nanoseconds>(left)));
  }
  if (!incoming) return {"serving", what + ", to " + transfer["to"].get<std::string>()};
  std::vector<std::string> sources;
  for (const auto& source : transfer["sources"]) sources.push_back(source.get<std::string>());
  if (!sources.empty()) what += ", from " + command::listed(sources);
  const bool numbered = transfer.contains("number");
  return {
      numbered ? fmt::format("fetching {}", transfer["number"].get<std::uint64_t>()) : "receiving",
      what};
}

Context reporting(Context context, std::string command, bool eachSource) {
  if (!context.progress && !context.event) return context;
  context.progress = [show = context.progress, tell = context.event, command = std::move(command),
                      told = Clock::now(), eachSource](command::Progress progress) mutable {
    const TimePoint now = Clock::now();
    if (tell && progress.unit == command::Unit::bytes && now - told >= limits::kEventInterval) {
      told = now;
      Json event;
      event["command"] = command;
      event["event"] = "progress";
      event["name"] = progress.name;
      event["done"] = progress.done;
      event["size"] = progress.total;
      tell(event);
    }
    if (!eachSource) progress.detail.clear();
    if (show) show(progress);
  };
  return context;
}

std::vector<Command> transferCommands(TransferService& service) {
  return {controlCommand(service, TransferControl::pause, "hold downloads up, or all of them"),
          controlCommand(service, TransferControl::resume, "let them go on"),
          controlCommand(service, TransferControl::cancel, "end downloads"), limitCommand(service)};
}

}  // namespace espalier::peer::shell
