#include "peer/shell/metaserver_client.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>
#include <variant>

#include "common/base/limits.h"

namespace espalier::peer::shell {

Result<wire::RegistryReply> MetaserverClient::ask(wire::RegistryRequest request,
                                                  std::stop_token stop) {
  struct Pending {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::optional<Result<wire::RegistryReply>> reply;
  };
  const auto pending = std::make_shared<Pending>();
  network_.post(
      [this, pending, request = std::move(request)](Peer&, TimePoint now, Effects& fx) mutable {
        network_.ask(
            std::move(request),
            [pending](Result<wire::RegistryReply> reply) {
              const std::lock_guard lock(pending->mutex);
              pending->reply = std::move(reply);
              pending->changed.notify_all();
            },
            now, fx);
      });
  std::unique_lock lock(pending->mutex);
  // The core gives up a silent metaserver after kSilence; then the answer is an error.
  const bool answered = pending->changed.wait_for(lock, stop, 2 * limits::kSilence,
                                                  [&] { return pending->reply.has_value(); });
  if (answered) return *pending->reply;
  if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
  return Error{ErrorCode::unavailable, "the metaserver does not answer"};
}

std::optional<wire::Members> MetaserverClient::members(std::stop_token stop) {
  const auto reply = ask(wire::MembersRequest(), std::move(stop));
  if (!reply) return std::nullopt;
  return std::get<wire::Members>(*reply);
}

}  // namespace espalier::peer::shell
