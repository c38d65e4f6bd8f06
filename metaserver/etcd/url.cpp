#include "metaserver/etcd/url.h"

#include <Poco/Exception.h>
#include <Poco/URI.h>
#include <fmt/format.h>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::metaserver::etcd {
namespace {

constexpr std::uint16_t kDefaultPort = 2379;

bool takePrefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

Result<std::string> decoded(std::string_view text) {
  std::string result;
  try {
    Poco::URI::decode(std::string(text), result);
  } catch (const Poco::Exception&) {
    return Error{ErrorCode::usage, "user or password of etcd's URL: a % without two hex digits"};
  }
  return result;
}

}  // namespace

std::string Url::text() const {
  return (isSecure ? "https://" : "http://") + at.text();
}

Result<Url> parseUrl(std::string_view text) {
  if (text.size() > limits::kEtcdUrlBytes) {
    return Error{ErrorCode::usage, fmt::format("a URL of etcd has {} bytes, more than {}",
                                               text.size(), limits::kEtcdUrlBytes)};
  }
  Url url;
  std::string_view rest = text;
  url.isSecure = takePrefix(rest, "https://");
  const bool isKnown = url.isSecure || takePrefix(rest, "http://");
  // The last one: a password may have one, too.
  const auto at = rest.rfind('@');
  const std::string_view place = at == std::string_view::npos ? rest : rest.substr(at + 1);
  if (!isKnown) {
    return Error{ErrorCode::usage,
                 fmt::format("\"{}\" is no URL of etcd: http://HOST:PORT or https://HOST:PORT",
                             escaped(place))};
  }
  if (at != std::string_view::npos) {
    const std::string_view who = rest.substr(0, at);
    const auto colon = who.find(':');
    if (colon == std::string_view::npos || colon == 0) {
      return Error{ErrorCode::usage, fmt::format("the URL of etcd at {} has an @, but no "
                                                 "USER:PASSWORD before it",
                                                 escaped(place))};
    }
    auto user = decoded(who.substr(0, colon));
    auto password = decoded(who.substr(colon + 1));
    if (!user) return user.error();
    if (!password) return password.error();
    url.user = *std::move(user);
    url.password = *std::move(password);
  }
  std::string_view host = place;
  if (host.ends_with('/')) host.remove_suffix(1);
  auto endpoint = Endpoint::parse(host, kDefaultPort);
  if (!endpoint || endpoint->port == 0) {
    return Error{ErrorCode::usage,
                 fmt::format("\"{}\" in a URL of etcd is no HOST:PORT{}", escaped(host),
                             endpoint ? "" : ": " + endpoint.error().message)};
  }
  url.at = *std::move(endpoint);
  return url;
}

}  // namespace espalier::metaserver::etcd
