#include "metaserver/shell/coordination.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/option_values.h"
#include "metaserver/etcd/url.h"

namespace espalier::metaserver::shell {

Result<Coordination> parseCoordination(std::string_view text) {
  constexpr std::string_view kEtcd = "etcd:";
  Coordination coordination;
  if (text == "builtin") return coordination;
  if (!text.starts_with(kEtcd)) {
    return Error{ErrorCode::usage,
                 fmt::format("\"{}\" is neither builtin nor etcd:URL", escaped(text))};
  }
  std::vector<etcd::Url> urls;
  const auto take = [&](std::string_view part) -> Result<void> {
    auto url = etcd::parseUrl(part);
    if (!url) return url.error();
    if (std::ranges::find(urls, *url) != urls.end()) return {};
    urls.push_back(*std::move(url));
    coordination.etcd.emplace_back(part);
    if (urls.size() <= limits::kEtcdUrls) return {};
    return Error{ErrorCode::usage, fmt::format("more than {} URLs of etcd", limits::kEtcdUrls)};
  };
  const auto read = command::eachPart(text.substr(kEtcd.size()), take);
  if (!read) return read.error();
  return coordination;
}

Result<std::string> parseEtcdPrefix(std::string_view text) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
  const bool isSound = text.size() > 2 && text.size() <= limits::kEtcdPrefixBytes &&
                       text.front() == '/' && text.back() == '/' &&
                       text.find("//") == std::string_view::npos &&
                       text.find_first_not_of(kAllowed) == std::string_view::npos;
  if (isSound) return std::string(text);
  return Error{ErrorCode::usage,
               fmt::format("\"{}\" is no prefix of keys: /NAME/, of letters, digits, '.', '_' and "
                           "'-', at most {} bytes",
                           escaped(text), limits::kEtcdPrefixBytes)};
}

}  // namespace espalier::metaserver::shell
