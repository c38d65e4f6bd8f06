#include "peer/shell/runtime.h"

#include <chrono>
#include <utility>

#include "common/base/thread.h"

namespace espalier::peer::shell {
namespace {

Membership::Options membershipOptions(const PeerOptions& options) {
  Membership::Options result;
  result.metaservers = options.metaservers;
  result.listen = options.listen;
  result.advertise.host = options.advertise;
  const auto wallClock = std::chrono::system_clock::now().time_since_epoch();
  result.generation = static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(wallClock).count());
  return result;
}

}  // namespace

Runtime::Runtime(net::EventLoop& loop, const PeerOptions& options)
    : loop_(loop),
      network_(loop, membershipOptions(options), *this),
      reporter_(network_, events_, options.metaservers, options.advertise),
      metaserver_(network_) {}

Runtime::~Runtime() {
  leave();
  join();
}

Result<void> Runtime::start() {
  return startThread(loopThread_, [this] {
    loop_.run();
    network_.end();
  });
}

void Runtime::leave() {
  if (loopThread_.joinable()) network_.leave();
}

void Runtime::join() {
  if (loopThread_.joinable()) loopThread_.join();
}

// Publishes what the core's notices do not say.
void Runtime::stepped(const Peer& peer) {
  const bool greeted = peer.membership().greeted();
  if (std::exchange(greeted_, greeted) != greeted && greeted) events_.publish(MetaserverGreeted());
  const std::uint64_t members = peer.tree() != nullptr ? peer.tree()->members() : 0;
  if (std::exchange(members_, members) != members) events_.publish(MembersChanged{members});
}

}  // namespace espalier::peer::shell
