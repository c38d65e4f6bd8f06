#include "metaserver/shell/coordination.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/option_values.h"

namespace espalier::metaserver::shell {
namespace {

constexpr std::uint16_t kEtcdPort = 2379;

Result<EtcdUrl> parseEtcdUrl(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return Error{ErrorCode::usage, fmt::format("\"{}\" is no URL of etcd: {}", escaped(text), why)};
  };
  EtcdUrl url;
  std::string_view rest = text;
  if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
    url.encrypted = true;
  } else {
    return refuse("it begins with http:// or https://");
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find('@') != std::string_view::npos) return refuse("it has a user, which is not used");
  if (rest.find_first_of("/?#") != std::string_view::npos) {
    return refuse("behind HOST:PORT comes nothing");
  }
  auto endpoint = Endpoint::parse(rest, kEtcdPort);
  if (!endpoint) return refuse(endpoint.error().message);
  if (endpoint->port == 0) return refuse("a port is 1 to 65535");
  url.endpoint = *std::move(endpoint);
  return url;
}

}  // namespace

std::string EtcdUrl::text() const {
  return (encrypted ? "https://" : "http://") + endpoint.text();
}

Result<Coordination> parseCoordination(std::string_view text) {
  constexpr std::string_view kEtcd = "etcd:";
  Coordination coordination;
  if (text == "builtin") return coordination;
  if (!text.starts_with(kEtcd)) {
    return Error{ErrorCode::usage,
                 fmt::format("\"{}\" is neither builtin nor etcd:URL", escaped(text))};
  }
  const auto take = [&](std::string_view part) -> Result<void> {
    auto url = parseEtcdUrl(part);
    if (!url) return url.error();
    if (std::ranges::find(coordination.etcd, *url) == coordination.etcd.end()) {
      coordination.etcd.push_back(*std::move(url));
    }
    if (coordination.etcd.size() <= limits::kEtcdEndpoints) return {};
    return Error{ErrorCode::usage,
                 fmt::format("more than {} URLs of etcd", limits::kEtcdEndpoints)};
  };
  const auto read = command::eachPart(text.substr(kEtcd.size()), take);
  if (!read) return read.error();
  return coordination;
}

}  // namespace espalier::metaserver::shell
