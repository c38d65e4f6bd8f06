// What an option may store (options.h).
#include <fmt/format.h>

#include <charconv>

#include "common/base/text.h"
#include "common/command/options.h"
#include "common/command/printing.h"
#include "common/command/words.h"

namespace espalier::command {
namespace {

Error bad(std::string_view value, std::string_view why) {
  return {ErrorCode::usage, fmt::format("\"{}\" {}", escaped(value), why)};
}

}  // namespace

Result<std::uint64_t> parseSize(std::string_view text, std::uint64_t most) {
  constexpr std::string_view kUnits = "KMGT";
  const Error wrong{ErrorCode::usage,
                    fmt::format("\"{}\" is no size: 500, 20K, 10M, 4G or 1T", escaped(text))};
  std::uint64_t factor = 1;
  auto digits = text;
  if (const auto unit = kUnits.find(text.empty() ? ' ' : text.back());
      unit != std::string_view::npos) {
    for (std::size_t i = 0; i <= unit; ++i) factor *= 1000;
    digits.remove_suffix(1);
  }
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return wrong;
  if (number > most / factor) return wrong;
  return number * factor;
}

Store storeText(std::string& target, std::size_t maxBytes) {
  return [&target, maxBytes](std::string_view value) -> Result<void> {
    if (value.empty()) return bad(value, "is empty");
    if (value.size() > maxBytes) return bad(value, fmt::format("has over {} bytes", maxBytes));
    if (value.find('\0') != std::string_view::npos) return bad(value, "has a zero byte");
    target = value;
    return {};
  };
}

Store storeYes(bool& target) {
  return [&target](std::string_view value) -> Result<void> {
    for (const auto* yes : {"yes", "true", "on", "1"}) {
      if (value == yes) return target = true, Result<void>();
    }
    for (const auto* no : {"no", "false", "off", "0"}) {
      if (value == no) return target = false, Result<void>();
    }
    return bad(value, "is neither yes nor no");
  };
}

Store storeAll(std::vector<std::string>& target) {
  return [&target](std::string_view value) -> Result<void> {
    target.emplace_back(value);
    return {};
  };
}

Store storeNumber(std::uint64_t& target, std::uint64_t least, std::uint64_t most) {
  return [&target, least, most](std::string_view value) -> Result<void> {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size() || number < least ||
        number > most) {
      return bad(value, fmt::format("is no number from {} to {}", least, most));
    }
    target = number;
    return {};
  };
}

Store storeEndpoint(Endpoint& target) {
  return [&target](std::string_view value) -> Result<void> {
    auto endpoint = Endpoint::parse(value);
    if (!endpoint) return endpoint.error();
    target = *endpoint;
    return {};
  };
}

Store storeOneOf(std::string& target, std::vector<std::string> choices) {
  return [&target, choices = std::move(choices)](std::string_view value) -> Result<void> {
    for (const auto& choice : choices) {
      if (choice == value) return target = choice, Result<void>();
    }
    const auto meant = nearest(value, choices);
    return bad(value, fmt::format("is none of {}{}", listed(choices),
                                  meant.empty() ? "" : fmt::format(": did you mean {}?", meant)));
  };
}

Store storeLogLevel(log::Level& target) {
  return [&target](std::string_view value) -> Result<void> {
    const auto level = log::parseLevel(value);
    if (!level) return bad(value, "is none of debug, info, warning, error and none");
    target = *level;
    return {};
  };
}

Store storePeerId(PeerId& target) {
  return [&target](std::string_view value) -> Result<void> {
    auto id = PeerId::parse(value);
    if (!id) return id.error();
    target = *id;
    return {};
  };
}

}  // namespace espalier::command
