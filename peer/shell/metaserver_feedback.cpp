#include "peer/shell/metaserver_feedback.h"

#include <cstdint>
#include <utility>
#include <variant>

namespace espalier::peer::shell {

Result<void> MetaserverFeedback::rate(unsigned score, const std::string& text,
                                      std::stop_token stop) {
  const auto reply = runtime_.metaserver().ask(wire::Rate{score, text, 0}, std::move(stop));
  if (!reply) return reply.error();
  if (std::get<wire::Rated>(*reply).isTaken) return {};
  return Error{ErrorCode::refused, "the service was rated in this session already"};
}

Result<wire::Statistics> MetaserverFeedback::statistics(std::size_t days, std::stop_token stop) {
  const auto reply = runtime_.metaserver().ask(
      wire::StatisticsRequest{static_cast<std::uint32_t>(days), 0}, std::move(stop));
  if (!reply) return reply.error();
  return std::get<wire::Statistics>(*reply);
}

}  // namespace espalier::peer::shell
