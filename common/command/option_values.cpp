#include "common/command/option_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "common/base/text.h"
#include "common/command/printing.h"
#include "common/command/words.h"

namespace espalier::command {
namespace {

Error bad(std::string_view value, std::string_view why) {
  return {ErrorCode::usage, fmt::format("\"{}\" {}", escaped(value), why)};
}

// A decimal number that is the whole text.
std::optional<std::uint64_t> wholeNumber(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Result<bool> parseYes(std::string_view text) {
  for (const auto* yes : {"yes", "true", "on", "1"}) {
    if (text == yes) return true;
  }
  for (const auto* no : {"no", "false", "off", "0"}) {
    if (text == no) return false;
  }
  return bad(text, "is neither yes nor no");
}

}  // namespace

Result<std::uint64_t> parseNumber(std::string_view text, std::uint64_t least, std::uint64_t most) {
  const auto number = wholeNumber(text);
  if (!number || *number < least || *number > most) {
    return bad(text, fmt::format("is no number from {} to {}", least, most));
  }
  return *number;
}

Result<std::uint64_t> parseSize(std::string_view text, std::uint64_t most) {
  constexpr std::string_view kUnits = "KMGT";
  std::uint64_t factor = 1;
  auto digits = text;
  if (const auto unit = kUnits.find(text.empty() ? ' ' : text.back());
      unit != std::string_view::npos) {
    for (std::size_t i = 0; i <= unit; ++i) factor *= 1000;
    digits.remove_suffix(1);
  }
  const auto number = wholeNumber(digits);
  if (!number || *number > most / factor) return bad(text, "is no size: 500, 20K, 10M, 4G or 1T");
  return *number * factor;
}

Result<std::chrono::milliseconds> parseDuration(std::string_view text,
                                                std::chrono::milliseconds least,
                                                std::chrono::milliseconds most) {
  constexpr std::pair<std::string_view, unsigned> kUnits[] = {
      {"ms", 1}, {"s", 1000}, {"min", 60'000}, {"h", 3'600'000}};
  const auto digits = text.substr(0, std::min(text.find_first_not_of("0123456789"), text.size()));
  const auto number = wholeNumber(digits);
  for (const auto& [unit, factor] : kUnits) {
    if (!number || text.substr(digits.size()) != unit) continue;
    const auto atMost = static_cast<std::uint64_t>(most.count());
    if (*number <= atMost / factor &&
        *number * factor >= static_cast<std::uint64_t>(least.count())) {
      return std::chrono::milliseconds(*number * factor);
    }
    return bad(text,
               fmt::format("is not from {} to {}", formatDuration(least), formatDuration(most)));
  }
  return bad(text, "is no duration: 500ms, 30s, 5min or 2h");
}

Result<void> eachPart(std::string_view list,
                      const std::function<Result<void>(std::string_view part)>& take) {
  while (true) {
    const auto comma = list.find(',');
    if (const auto taken = take(list.substr(0, comma)); !taken) return taken;
    if (comma == std::string_view::npos) return {};
    list.remove_prefix(comma + 1);
  }
}

Store storeText(std::string& target, std::size_t maxBytes) {
  return storeParsed(target, [maxBytes](std::string_view value) -> Result<std::string> {
    if (value.empty()) return bad(value, "is empty");
    if (value.size() > maxBytes) return bad(value, fmt::format("has over {} bytes", maxBytes));
    if (value.find('\0') != std::string_view::npos) return bad(value, "has a zero byte");
    return std::string(value);
  });
}

Store storeYes(bool& target) {
  return storeParsed(target, parseYes);
}

Store storeAll(std::vector<std::string>& target) {
  return [&target](std::string_view value) -> Result<Assign> {
    return Assign([&target, value = std::string(value)] { target.push_back(value); });
  };
}

Store storeEndpoint(Endpoint& target) {
  return storeParsed(target, [](std::string_view value) { return Endpoint::parse(value); });
}

Store storeOneOf(std::string& target, std::vector<std::string> choices) {
  return storeParsed(
      target, [choices = std::move(choices)](std::string_view value) -> Result<std::string> {
        for (const auto& choice : choices) {
          if (choice == value) return choice;
        }
        const auto meant = nearest(value, choices);
        return bad(value,
                   fmt::format("is none of {}{}", listed(choices),
                               meant.empty() ? "" : fmt::format(": did you mean {}?", meant)));
      });
}

Store storeLogLevel(log::Level& target) {
  return storeParsed(target, [](std::string_view value) -> Result<log::Level> {
    const auto level = log::parseLevel(value);
    if (!level) return bad(value, "is none of debug, info, warning, error and none");
    return *level;
  });
}

Store storePeerId(PeerId& target) {
  return storeParsed(target, [](std::string_view value) { return PeerId::parse(value); });
}

}  // namespace espalier::command
