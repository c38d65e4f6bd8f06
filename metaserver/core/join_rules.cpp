#include "metaserver/core/join_rules.h"

#include "common/base/budget.h"
#include "common/base/unicode.h"

namespace espalier::metaserver {

std::optional<std::string> whyIdIsRefused(const PeerId& id) {
  if (isComposed(id.text())) return std::nullopt;
  return id.text() + " is not in the form NFC of Unicode: choose another id";
}

std::optional<std::string> whyHostIsRefused(const std::string& host, const std::string& source) {
  const bool isElsewhere =
      host != source && Payer::host(host).isLoopback() && !Payer::host(source).isLoopback();
  if (isUnicast(host) && !isElsewhere) return std::nullopt;
  return host + " is no address at which others can reach a peer";
}

}  // namespace espalier::metaserver
