#include "metaserver/shell/state_file.h"

#include <fmt/format.h>

#include <charconv>
#include <iterator>
#include <optional>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::metaserver::shell {
namespace {

constexpr std::string_view kMagic = "espalier-network";

// The text up to the next space, which is taken off `line` too.
std::string_view word(std::string_view& line) {
  const auto end = line.find(' ');
  const auto result = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  return result;
}

std::optional<std::uint64_t> parseNumber(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Remembered> parseMember(std::string_view line) {
  const auto order = parseNumber(word(line));
  const auto endpoint = Endpoint::parse(word(line));
  const auto key = fromHex<InstanceKey>(word(line));
  const auto id = PeerId::parse(line);
  if (!order || *order == 0 || !endpoint || !key || !id) return std::nullopt;
  return Remembered{*id, *key, JoinOrder{*order}, *endpoint};
}

}  // namespace

std::string formatState(const State& state) {
  std::string text =
      fmt::format("{} 1 {} {}\n", kMagic, toHex(state.network.view()), number(state.nextOrder));
  for (const auto& member : state.members) {
    fmt::format_to(std::back_inserter(text), "{} {} {} {}\n", number(member.order),
                   member.endpoint.text(), toHex(member.key.view()), member.id.text());
  }
  return text;
}

Result<State> parseState(std::string_view text) {
  State state;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const auto refuse = [&](std::string_view why) {
      return Error{ErrorCode::configuration,
                   fmt::format("line {}: {}: \"{}\"", number, why, escaped(line.substr(0, 200)))};
    };
    if (number == 1) {
      const std::string_view header = line;
      const bool known = word(line) == kMagic && word(line) == "1";
      const auto network = fromHex<wire::NetworkId>(word(line));
      const auto next = parseNumber(word(line));
      line = header;
      if (!known || !network || !next || *next == 0) return refuse("no network is described here");
      state.network = *network;
      state.nextOrder = JoinOrder{*next};
      continue;
    }
    if (number > limits::kMembers + 1) return refuse("too many peers");
    auto member = parseMember(line);
    if (!member) return refuse("this is no peer");
    state.members.push_back(std::move(*member));
  }
  if (state.network.isZero()) return Error{ErrorCode::configuration, "line 1: the file is empty"};
  return state;
}

}  // namespace espalier::metaserver::shell
