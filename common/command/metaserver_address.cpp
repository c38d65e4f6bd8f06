#include "common/command/metaserver_address.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/option_values.h"

namespace espalier::command {

Result<Endpoint> parseMetaserver(std::string_view text) {
  auto endpoint = Endpoint::parse(text);
  if (endpoint && endpoint->port == 0) {
    return Error{
        ErrorCode::usage,
        fmt::format("\"{}\" is no HOST:PORT: a metaserver's port is 1 to 65535", escaped(text))};
  }
  return endpoint;
}

Result<std::vector<Endpoint>> parseMetaservers(std::string_view text) {
  std::vector<Endpoint> metaservers;
  const auto read = eachPart(text, [&](std::string_view part) -> Result<void> {
    auto endpoint = parseMetaserver(part);
    if (!endpoint) return endpoint.error();
    if (std::ranges::find(metaservers, *endpoint) == metaservers.end()) {
      metaservers.push_back(*std::move(endpoint));
    }
    if (metaservers.size() <= limits::kMetaservers) return {};
    return Error{ErrorCode::usage, fmt::format("more than {} metaservers", limits::kMetaservers)};
  });
  if (!read) return read.error();
  return metaservers;
}

Result<Endpoint> parseHostAndPort(std::string_view host, std::string_view port) {
  const bool bare6 = host.find(':') != std::string_view::npos && !host.starts_with('[');
  return parseMetaserver(bare6 ? fmt::format("[{}]:{}", host, port)
                               : fmt::format("{}:{}", host, port));
}

Result<Endpoint> parseDashedMetaserver(std::string_view text) {
  const auto dash = text.rfind('-');
  if (dash == std::string_view::npos) {
    return Error{ErrorCode::usage, fmt::format("\"{}\" is no HOST-PORT", escaped(text))};
  }
  return parseHostAndPort(text.substr(0, dash), text.substr(dash + 1));
}

}  // namespace espalier::command
