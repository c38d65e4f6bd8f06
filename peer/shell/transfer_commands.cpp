#include "peer/shell/transfer_commands.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/printing.h"
#include "peer/shell/options.h"
#include "peer/shell/transfer_outcome.h"

namespace espalier::peer::shell {

using command::Arguments;
using command::Command;
using command::Context;
using command::Json;
using command::Outcome;

namespace {

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

// What became of a download.
const char* resultName(TransferControl what) {
  switch (what) {
    case TransferControl::pause:
      return "paused";
    case TransferControl::resume:
      return "goes on";
    case TransferControl::cancel:
      return "cancelled";
  }
  return "";
}

// The outcome of `pause`, `resume` and `cancel`.
struct ControlOutcome {
  TransferControl what;
  std::vector<ActiveTransfer> transfers;
};

void addMembers(Json& data, const ControlOutcome& outcome) {
  data["transfers"] = Json::array();
  for (const auto& each : outcome.transfers) data["transfers"].push_back(transferData(each));
}

std::string textOf(const ControlOutcome& outcome) {
  if (outcome.transfers.empty()) return "no downloads\n";
  std::string text;
  for (const auto& each : outcome.transfers) {
    text += fmt::format("{}  {}: {}\n", each.number, escaped(each.name), resultName(outcome.what));
  }
  return text;
}

Result<std::vector<std::uint64_t>> numbersOf(const std::vector<std::string>& words) {
  std::vector<std::uint64_t> numbers;
  for (const auto& word : words) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size()) {
      return Error{ErrorCode::usage,
                   fmt::format("\"{}\" is not the number of a download: `status` shows the numbers",
                               escaped(word))};
    }
    numbers.push_back(number);
  }
  return numbers;
}

Command controlCommand(TransferService& service, TransferControl what, std::string summary) {
  const std::string name = controlName(what);
  const bool named = what == TransferControl::cancel;  // cancels none that was not named
  Command command{.name = name,
                  .usage = name + (named ? " NUMBER…" : " [NUMBER…]"),
                  .summary = std::move(summary),
                  .details =
                      "`status` shows the numbers of downloads. What was received is kept:\n"
                      "a later `get` continues from there.",
                  .minValues = named ? 1u : 0u,
                  .maxValues = limits::kCommandWords};
  command.handler = [&service, what, name](const Arguments& arguments, Context&) {
    const auto numbers = numbersOf(arguments.values);
    if (!numbers) return Outcome::failed(name, numbers.error());
    auto transfers = service.control(what, *numbers);
    if (!transfers) return Outcome::failed(name, transfers.error());
    return Outcome::done(name, ControlOutcome{what, *std::move(transfers)});
  };
  return command;
}

std::string rateText(std::uint64_t rate) {
  return rate == 0 ? "no limit" : formatRate(static_cast<double>(rate));
}

// The outcome of `limit`.
struct LimitOutcome {
  Rates rates;
};

void addMembers(Json& data, const LimitOutcome& outcome) {
  data["upload"] = outcome.rates.upload;
  data["download"] = outcome.rates.download;
}

std::string textOf(const LimitOutcome& outcome) {
  return command::table(
      {{"upload", rateText(outcome.rates.upload)}, {"download", rateText(outcome.rates.download)}});
}

Outcome limit(TransferService& service, const std::vector<std::string>& words) {
  std::optional<std::uint64_t> upload;
  std::optional<std::uint64_t> download;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const bool known = words[i] == "upload" || words[i] == "download";
    if (!known || i + 1 == words.size()) {
      return Outcome::failed("limit",
                             {ErrorCode::usage, "limit: give upload RATE, download RATE, or both"});
    }
    const auto rate = parseRate(words[i + 1]);
    if (!rate) return Outcome::failed("limit", rate.error());
    (words[i] == "upload" ? upload : download) = *rate;
  }
  return Outcome::done("limit", LimitOutcome{service.limit(upload, download)});
}

Command limitCommand(TransferService& service) {
  Command command{.name = "limit",
                  .usage = "limit [upload RATE] [download RATE]",
                  .summary = "show or set the rates at which this peer sends and receives",
                  .details =
                      "RATE is in bytes a second, of all transfers together: 500K, 10M, or\n"
                      "none. Without arguments it shows the current limits.",
                  .maxValues = 4};
  command.handler = [&service](const Arguments& arguments, Context&) {
    return limit(service, arguments.values);
  };
  return command;
}

}  // namespace

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
  return {
      controlCommand(service, TransferControl::pause, "pause downloads, or all of them"),
      controlCommand(service, TransferControl::resume, "resume paused downloads, or all of them"),
      controlCommand(service, TransferControl::cancel, "cancel downloads"), limitCommand(service)};
}

}  // namespace espalier::peer::shell
