#include "peer/shell/runtime.h"

#include <algorithm>
#include <utility>

#include "common/base/thread.h"

namespace espalier::peer::shell {
namespace {

Membership::Options membershipOptions(const PeerOptions& options) {
  Membership::Options result;
  result.metaserver = options.metaserver;
  result.listen = options.listen;
  result.advertise.host = options.advertise;
  return result;
}

}  // namespace

Runtime::Runtime(net::EventLoop& loop, const PeerOptions& options)
    : loop_(loop),
      network_(loop, membershipOptions(options), owner()),
      reporter_(network_, events_, options.metaserver, options.advertise),
      metaserver_(network_) {}

Runtime::~Runtime() {
  leave();
  join();
}

Network::Owner Runtime::owner() {
  Network::Owner owner;
  owner.notice = [this](const Notice& notice) { reporter_.report(notice); };
  owner.match = [this](const MatchJob& job) {
    if (handler_ != nullptr) handler_->match(job);
  };
  owner.searched = [this](SearchUpdate& update) {
    if (handler_ != nullptr) handler_->searched(update);
  };
  owner.transfer = [this](std::unique_ptr<net::ByteStream> stream, const wire::Hello& hello) {
    if (handler_ != nullptr) handler_->serve(std::move(stream), hello);
  };
  owner.pushJob = [this](PushJob& job) {
    if (handler_ != nullptr) handler_->carryOut(job);
  };
  owner.pushChanged = [this](const PushId& id) { events_.publish(PushChanged{id}); };
  owner.stepped = [this](const Peer& peer) { stepped(peer); };
  owner.deadline = [this] { return deadline(); };
  owner.tick = [this](TimePoint now) { tick(now); };
  return owner;
}

Result<void> Runtime::start() {
  return startThread(loopThread_, [this] {
    loop_.run();
    network_.end();
  });
}

void Runtime::attach(PeerHandler& handler) {
  (void)network_.call([&](Peer&, TimePoint, Effects&) { handler_ = &handler; });
}

void Runtime::detach() {
  (void)network_.call([this](Peer&, TimePoint, Effects&) { handler_ = nullptr; });
}

void Runtime::leave() {
  if (loopThread_.joinable()) network_.leave();
}

void Runtime::join() {
  if (loopThread_.joinable()) loopThread_.join();
}

// What the core does not tell in notices.
void Runtime::stepped(const Peer& peer) {
  const bool greeted = peer.membership().greeted();
  if (std::exchange(greeted_, greeted) != greeted && greeted) events_.publish(MetaserverGreeted());
  const std::uint64_t members = peer.tree() != nullptr ? peer.tree()->members() : 0;
  if (std::exchange(members_, members) != members) events_.publish(MembersChanged{members});
}

TimePoint Runtime::deadline() const {
  TimePoint first = kNever;
  for (const auto* timer : timers_) first = std::min(first, timer->deadline());
  return first;
}

void Runtime::tick(TimePoint now) {
  for (auto* timer : timers_) {
    if (now >= timer->deadline()) timer->tick(now);
  }
}

}  // namespace espalier::peer::shell
