#include "peer/shell/private_desk.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "common/wire/private_codec.h"

namespace espalier::peer::shell {
namespace {

using Kind = PrivateUpdate::Kind;

constexpr const char* kNotStored =
    "it is not on this peer's disk yet: see the log; it goes on being tried";

}  // namespace

Result<void> PrivateDesk::start(PrivateState state) {
  auto started = database_.start([&network = network_](std::uint64_t ticket) {
    network.post([ticket](Peer& peer, TimePoint now, Effects& fx) {
      if (auto* privates = peer.privates()) privates->stored(ticket, now, fx);
    });
  });
  if (!started) return started;
  network_.post([state = std::move(state)](Peer& peer, TimePoint, Effects&) mutable {
    peer.keepPrivates(std::move(state));
  });
  return {};
}

void PrivateDesk::told(PrivateUpdate& update) {
  if (update.kind == Kind::received) {
    return events_.publish(PrivateReceived{update.peer.text(), std::move(update.text), update.at,
                                           update.isOtherThanBefore});
  }
  const std::lock_guard lock(mutex_);
  const auto waiting = pending_.find(update.request);
  if (waiting == pending_.end()) return;
  waiting->second = std::move(update);
  changed_.notify_all();
}

// Begins a request, and waits for its update; none: `stop` was triggered, or patience has ended.
template <typename Begin>
Result<std::optional<PrivateUpdate>> PrivateDesk::ask(Begin begin, const std::stop_token& stop) {
  std::uint64_t request = 0;
  {
    const std::lock_guard lock(mutex_);
    request = ++requests_;
    pending_[request];
  }
  const auto begun =
      network_.call([request, begin = std::move(begin)](Peer& peer, TimePoint now, Effects& fx) {
        if (peer.privates() == nullptr) return false;
        begin(*peer.privates(), request, now, fx);
        return true;
      });
  std::optional<PrivateUpdate> update;
  {
    std::unique_lock lock(mutex_);
    auto& answer = pending_[request];
    if (begun && *begun) {
      changed_.wait_until(lock, stop, Clock::now() + limits::kPrivatePatience,
                          [&] { return answer.has_value(); });
    }
    update = std::move(answer);
    pending_.erase(request);
  }
  if (!begun) return begun.error();
  if (!*begun) return notJoined();
  return update;
}

Result<SentPrivate> PrivateDesk::send(const PeerId& to, const std::string& text, bool isNew,
                                      std::stop_token stop) {
  if (auto form = wire::checkPrivateText(text); !form) return form.error();
  std::uint64_t number = 0;
  auto update = ask(
      [&](PrivateMessages& privates, std::uint64_t request, TimePoint now, Effects& fx) {
        number = request;
        privates.send({request, to, text, isNew}, now, fx);
      },
      stop);
  if (!update) return update.error();
  if (!*update) {
    auto left = PrivateMessages::Left::nothing;
    const auto kept = network_.call([&](Peer& peer, TimePoint, Effects&) -> std::uint64_t {
      auto* privates = peer.privates();
      if (privates == nullptr) return 0;
      left = privates->forget(number);
      const auto* conversation = std::as_const(*privates).book().latest(to);
      return conversation == nullptr ? 1 : conversation->waiting.size();
    });
    if (!kept) return kept.error();
    const bool isInterrupted = stop.stop_requested();
    if (left == PrivateMessages::Left::inMemory) return Error{ErrorCode::io, kNotStored};
    if (left == PrivateMessages::Left::nothing) {
      return isInterrupted ? Error{ErrorCode::interrupted, "interrupted: nothing was sent"}
                           : Error{ErrorCode::timeout, "no answer: nothing was sent"};
    }
    return SentPrivate{to, false, *kept, "no answer yet", isInterrupted};
  }
  PrivateUpdate& told = **update;
  switch (told.kind) {
    case Kind::delivered:
      return SentPrivate{to, true, told.waiting, {}};
    case Kind::waits:
      return SentPrivate{to, false, told.waiting, std::move(told.text)};
    case Kind::refused:
      return Error{ErrorCode::refused, std::move(told.text)};
    default:
      return std::move(told.error);
  }
}

Result<std::vector<PrivateLine>> PrivateDesk::conversation(const PeerId& with, std::size_t most) {
  bool isJoined = false;
  const auto instance = network_.call([&](Peer& peer, TimePoint, Effects&) {
    InstanceHash found;
    const auto* privates = std::as_const(peer).privates();
    isJoined = privates != nullptr;
    if (isJoined) {
      if (const auto* known = privates->book().latest(with)) found = known->with;
    }
    return found;
  });
  if (!instance) return instance.error();
  if (!isJoined) return notJoined();
  if (instance->isZero()) {
    return Error{ErrorCode::failed, "no private messages with " + with.text()};
  }
  auto kept = database_.conversation(*instance, most);
  if (!kept) return kept.error();
  std::vector<PrivateLine> lines;
  lines.reserve(kept->size());
  for (auto& each : *kept) {
    lines.push_back({each.isSent, each.at, std::move(each.state), std::move(each.text)});
  }
  return lines;
}

Result<void> PrivateDesk::ignore(const PeerId& id, bool isIgnored, std::stop_token stop) {
  auto update = ask([&](PrivateMessages& privates, std::uint64_t request, TimePoint now,
                        Effects& fx) { privates.ignore(request, id, isIgnored, now, fx); },
                    stop);
  if (!update) return update.error();
  if (!*update) return Error{ErrorCode::io, kNotStored};
  if ((*update)->kind == Kind::ignored) return {};
  return std::move((*update)->error);
}

Result<std::vector<PeerId>> PrivateDesk::ignored() {
  bool isJoined = false;
  auto all = network_.call([&](Peer& peer, TimePoint, Effects&) {
    std::vector<PeerId> ids;
    const auto* privates = std::as_const(peer).privates();
    isJoined = privates != nullptr;
    if (!isJoined) return ids;
    for (const auto& each : privates->book().ignored()) {
      if (std::find(ids.begin(), ids.end(), each.id) == ids.end()) ids.push_back(each.id);
    }
    return ids;
  });
  if (all && !isJoined) return notJoined();
  return all;
}

std::vector<std::string> PrivateDesk::correspondents(const std::string& prefix) {
  auto ids = network_.call([&](Peer& peer, TimePoint, Effects&) {
    std::vector<std::string> found;
    const auto* privates = std::as_const(peer).privates();
    if (privates == nullptr) return found;
    for (const auto& [with, conversation] : privates->book().all()) {
      const auto& id = conversation.id.text();
      if (id.starts_with(prefix) && found.size() < limits::kCompletions) found.push_back(id);
    }
    return found;
  });
  return ids ? *std::move(ids) : std::vector<std::string>();
}

}  // namespace espalier::peer::shell
