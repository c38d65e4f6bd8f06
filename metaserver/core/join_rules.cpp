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

std::optional<PeerId> formerId(const PeerId& id) {
  const std::string& text = id.text();
  const auto mark = text.rfind('~');
  const bool hasNumber = mark != std::string::npos && mark > 0 && mark + 1 < text.size() &&
                         text.find_first_not_of("0123456789", mark + 1) == std::string::npos;
  if (!hasNumber) return std::nullopt;
  const auto former = PeerId::parse(text.substr(0, mark));
  return former ? std::optional(*former) : std::nullopt;
}

}  // namespace espalier::metaserver
