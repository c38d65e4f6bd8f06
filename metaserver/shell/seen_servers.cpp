#include "metaserver/shell/seen_servers.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/base/limits.h"
#include "common/base/state_version.h"

namespace espalier::metaserver::shell {
namespace {

constexpr std::string_view kSeenKind = "espalier-metaservers";
constexpr unsigned kSeenVersion = 1;
constexpr std::int64_t kLastMillisecond = (1ll << 53) - 1;

std::string_view takeWord(std::string_view& line) {
  const auto end = line.find(' ');
  const auto word = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  return word;
}

std::optional<std::int64_t> timeOf(std::string_view text, std::int64_t most) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool isNumber = error == std::errc() && end == text.data() + text.size();
  if (!isNumber || value < 0 || value > most) return std::nullopt;
  return value;
}

std::optional<SeenServer> serverOf(std::string_view line) {
  const auto seen = timeOf(takeWord(line), kLastMillisecond / 1000);
  const auto started = timeOf(takeWord(line), kLastMillisecond);
  auto address = Endpoint::parse(takeWord(line));
  auto name = ServerName::parse(line);
  if (!seen || !started || !address || address->port == 0 || !name) return std::nullopt;
  return SeenServer{std::chrono::seconds(*seen), std::chrono::milliseconds(*started),
                    *std::move(address), *std::move(name)};
}

}  // namespace

void SeenServers::see(SeenServer server) {
  server.seen -= server.seen % kSeenStep;
  const auto same = std::find(servers_.begin(), servers_.end(), server);
  if (same != servers_.end()) return;
  isChanged_ = true;
  std::erase_if(servers_, [&](const SeenServer& other) {
    return other.name == server.name || other.address == server.address;
  });
  if (servers_.size() >= limits::kServerAddresses) {
    servers_.erase(std::min_element(servers_.begin(), servers_.end(),
                                    [](const auto& a, const auto& b) { return a.seen < b.seen; }));
  }
  const auto at =
      std::lower_bound(servers_.begin(), servers_.end(), server.name,
                       [](const auto& a, const ServerName& name) { return a.name < name; });
  servers_.insert(at, std::move(server));
}

void SeenServers::age(std::chrono::seconds now) {
  const auto gone = std::erase_if(
      servers_, [&](const SeenServer& server) { return server.seen + kSeenFor < now; });
  isChanged_ = isChanged_ || gone > 0;
}

std::optional<SeenServer> SeenServers::forget(const ServerName& name) {
  const auto found = std::find_if(servers_.begin(), servers_.end(),
                                  [&](const auto& server) { return server.name == name; });
  if (found == servers_.end()) return std::nullopt;
  auto server = std::move(*found);
  servers_.erase(found);
  isChanged_ = true;
  return server;
}

std::optional<std::string> SeenServers::takeText(bool again) {
  if (!std::exchange(isChanged_, false) && !again) return std::nullopt;
  std::string text = fmt::format("{} {}\n", kSeenKind, kSeenVersion);
  for (const auto& server : servers_) {
    text += fmt::format("{} {} {} {}\n", server.seen.count(), server.started.count(),
                        server.address.text(), server.name.text());
  }
  return text;
}

Result<void> SeenServers::parse(std::string_view path, std::string_view text) {
  const auto version = textVersion(text, kSeenKind);
  if (!version) return {};  // damaged: it is made again
  if (const auto known = checkStateVersion(path, *version, kSeenVersion); !known) return known;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (auto server = serverOf(line)) see(*std::move(server));
  }
  isChanged_ = false;
  return {};
}

}  // namespace espalier::metaserver::shell
