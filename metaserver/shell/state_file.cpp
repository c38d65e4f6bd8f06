#include "metaserver/shell/state_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/state_version.h"
#include "common/base/text.h"
#include "metaserver/core/cluster/epoch.h"

namespace espalier::metaserver::shell {
namespace {

constexpr std::string_view kKind = "espalier-network";
constexpr unsigned kVersion = 1;

// The text up to the next space, which is removed from `line`, too.
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
  if (!order || *order == 0 || *order > limits::kJoinOrder) return std::nullopt;
  if (!endpoint || endpoint->port == 0 || !key || !id) return std::nullopt;
  return Remembered{*id, *key, JoinOrder{*order}, *endpoint};
}

bool parseHeader(std::string_view line, State& state) {
  if (textVersion(line, kKind) != kVersion) return false;
  word(line);
  word(line);
  const auto network = fromHex<wire::NetworkId>(word(line));
  const auto next = parseNumber(line);
  if (!network || network->isZero() || !next) return false;
  if (*next == 0 || *next > limits::kJoinOrder + 1) return false;
  state.network = *network;
  state.nextOrder = JoinOrder{*next};
  return true;
}

// A line as the log may show it: without keys, whole or cut.
std::string shown(std::string_view line) {
  constexpr std::size_t kShownBytes = 200;
  constexpr std::size_t kKeyLike = 8;
  constexpr std::string_view kHexDigits = "0123456789abcdefABCDEF";
  std::string result;
  line = cutUtf8(line, kShownBytes);
  while (!line.empty()) {
    const auto digits = std::min(line.find_first_not_of(kHexDigits), line.size());
    const auto others = std::min(line.find_first_of(kHexDigits, digits), line.size()) - digits;
    result += digits >= kKeyLike ? "(key)" : line.substr(0, digits);
    result += line.substr(digits, others);
    line.remove_prefix(digits + others);
  }
  return escaped(result);
}

// Reads the lines after the first.
class Lines {
 public:
  explicit Lines(StateRead& read) : read_(read) {}

  void take(std::size_t position, std::string_view line) {
    const auto leaveOut = [&](std::string_view why) {
      ++read_.damagedLines;
      if (read_.problems.size() == limits::kDamagedLinesTold) return;
      read_.problems.push_back(fmt::format("line {}: {}: \"{}\"", position, why, shown(line)));
    };
    if (read_.state.members.size() == limits::kMembers) return leaveOut("too many peers");
    auto member = parseMember(line);
    if (!member) return leaveOut("this is no peer");
    if (!orders_.insert(number(member->order)).second) return leaveOut("this order is there twice");
    if (!ids_.insert(member->id).second) return leaveOut("this id is there twice");
    auto& next = read_.state.nextOrder;
    const auto behind = cluster::orderAfter(member->order, {});
    next = std::max(next, behind.value_or(cluster::kNoOrderLeft));
    read_.state.members.push_back(std::move(*member));
  }

 private:
  StateRead& read_;
  std::set<std::uint64_t> orders_;
  std::set<PeerId> ids_;
};

}  // namespace

std::string formatState(const State& state) {
  std::string text = fmt::format("{} {} {} {}\n", kKind, kVersion, toHex(state.network.view()),
                                 number(state.nextOrder));
  constexpr std::size_t kLineBytes = 80;  // of most members
  text.reserve(text.size() + kLineBytes * state.members.size());
  for (const auto& member : state.members) {
    text += std::to_string(number(member.order));
    text += ' ';
    text += member.endpoint.text();
    text += ' ';
    text += toHex(member.key.view());
    text += ' ';
    text += member.id.text();
    text += '\n';
  }
  return text;
}

Result<StateRead> parseState(std::string_view text) {
  StateRead read;
  Lines lines(read);
  const auto takeLine = [&] {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return line;
  };
  if (text.empty()) return Error{ErrorCode::configuration, "line 1: the file is empty"};
  const auto header = takeLine();
  if (!parseHeader(header, read.state)) {
    return Error{ErrorCode::configuration,
                 fmt::format("line 1: no network is described here: \"{}\"", shown(header))};
  }
  for (std::size_t number = 2; !text.empty(); ++number) lines.take(number, takeLine());
  return read;
}

Result<std::optional<State>> loadState(const std::string& path) {
  const auto text = readFile(path, limits::kStateFileBytes);
  if (!text && text.error().code == ErrorCode::failed) return std::optional<State>();
  if (!text) return text.error();
  if (const auto version = textVersion(*text, kKind)) {
    if (const auto known = checkStateVersion(path, *version, kVersion); !known) {
      return known.error();
    }
  }
  auto read = parseState(*text);
  if (!read) {
    return Error{ErrorCode::configuration,
                 fmt::format("{}: {}; move it away to begin a new network", escaped(path),
                             read.error().message)};
  }
  if (read->damagedLines == 0) return std::optional(std::move(read->state));
  const auto kept = keepDamaged(path);
  if (!kept) return kept.error();
  for (const auto& problem : read->problems) log::warning("{}: {}", escaped(path), problem);
  log::warning("{}: {} left out, whose peers join as newcomers; the damaged file is kept as {}",
               escaped(path), counted(read->damagedLines, "line"), escaped(*kept));
  return std::optional(std::move(read->state));
}

}  // namespace espalier::metaserver::shell
