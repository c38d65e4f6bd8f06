#include "peer/core/push_policy.h"

#include <fmt/format.h>

#include "common/base/text.h"

namespace espalier::peer {

namespace {

std::uint64_t totalBytes(const wire::PushOffer& offer) {
  std::uint64_t bytes = 0;  // at most kPushFiles * kFileBytes: does not wrap around
  for (const auto& file : offer.files) bytes += file.sizeBytes;
  return bytes;
}

}  // namespace

std::optional<std::string> PushPolicy::refusal(const wire::PushOffer& offer) const {
  const auto& sender = offer.sender.id;
  if (from == From::none) return "takes no pushes";
  if (from == From::some && !senders.contains(sender)) {
    return fmt::format("takes no pushes from {}", sender.text());
  }
  if (totalBytes(offer) > limitBytes) {
    return fmt::format("takes at most {}", formatSize(limitBytes));
  }
  return std::nullopt;
}

}  // namespace espalier::peer
