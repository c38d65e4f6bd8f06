// The part of PrivateMessages that receives: who may send, and what is taken.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "peer/core/private/private_messages.h"

namespace espalier::peer {

using Reason = wire::PrivateRefusal::Reason;

void PrivateMessages::accepted(ConnectionId connection, std::string host, Account address,
                               TimePoint now, Effects& fx) {
  if (senders_.size() >= limits::kPrivateSenders) {
    // Those that have not said who they are make room first.
    const auto rank = [](const Sender& one) {
      return std::pair(one.phase != Sender::Phase::fresh, one.heard);
    };
    const auto silent = std::min_element(
        senders_.begin(), senders_.end(),
        [&](const auto& a, const auto& b) { return rank(a.second) < rank(b.second); });
    end(silent->first, fx);
  }
  Sender sender{std::move(host), std::move(address)};
  sender.heard = now;
  senders_.emplace(connection, std::move(sender));
}

void PrivateMessages::introduced(ConnectionId connection, Sender& sender,
                                 const wire::PrivateIntroduction& introduction, TimePoint now,
                                 Effects& fx) {
  if (!sender.address.spend(limits::Rate::privateSenders, now)) {
    return refuse(connection, Reason::notNow, "too many peers begin to send messages", fx);
  }
  if (introduction.to != instance_) {
    return refuse(connection, Reason::otherInstance, "this is another peer", fx);
  }
  if (introduction.from == self_ || introduction.instance == instance_) {
    return refuse(connection, Reason::notProven, "that is this peer", fx);
  }
  sender.introduction = introduction;
  sender.phase = Sender::Phase::lookUp;
  if (!lookUp(introduction.from, ForSender{connection}, now)) {
    refuse(connection, Reason::notNow, "too many peers begin to send messages", fx);
  }
}

void PrivateMessages::senderFound(ConnectionId connection, const wire::Contact* member,
                                  const std::string& problem, Effects& fx) {
  const auto found = senders_.find(connection);
  if (found == senders_.end() || found->second.phase != Sender::Phase::lookUp) return;
  const auto& who = found->second.introduction;
  if (!problem.empty()) {
    return refuse(connection, Reason::notNow, "it cannot check who sends: " + problem, fx);
  }
  if (member == nullptr || member->instance != who.instance) {
    return refuse(connection, Reason::notProven,
                  "its metaserver knows no such member of the network", fx);
  }
  found->second.phase = Sender::Phase::hostCheck;
  fx.hostChecks.push_back({connection, member->endpoint.host});
}

void PrivateMessages::hostChecked(ConnectionId connection, bool isThere, TimePoint now,
                                  Effects& fx) {
  const auto found = senders_.find(connection);
  if (found == senders_.end() || found->second.phase != Sender::Phase::hostCheck) return;
  Sender& sender = found->second;
  const wire::PrivateIntroduction who = sender.introduction;
  if (!isThere) {
    return refuse(connection, Reason::notProven,
                  "the connection does not come from the address that " + who.from.text() +
                      " has in the network",
                  fx);
  }
  // Only who is proven hears it: others could ask whom this peer's user ignores.
  if (book_.isIgnored(who.from, who.instance)) {
    return refuse(connection, Reason::turnedAway, "this peer takes no messages from that one", fx);
  }
  if (!book_.hasRoomFor(who.instance)) {
    return refuse(connection, Reason::notNow, "it has too many conversations", fx);
  }
  if (const auto other = openFrom(who.instance)) end(*other, fx);
  sender.phase = Sender::Phase::open;
  sender.member = budget_.account(Payer::member(who.from));
  fx.privateAdmissions.push_back({connection, who.from});
  auto* from = book_.find(who.instance);
  if (from != nullptr && !from->waiting.empty()) book_.rename(*from, who.from);
  const bool isKnown = from != nullptr && from->theirStream == who.stream;
  fx.sends.push_back(
      {connection, wire::PrivateFrame(wire::PrivateReady{isKnown ? from->received : 0})});
  take(connection, sender, now, fx);
  // What waits for it goes now.
  const auto recipient = recipients_.find(who.instance);
  if (recipient != recipients_.end() && recipient->second.phase == Recipient::Phase::idle) {
    attempt(InstanceHash(who.instance), now, fx);
  }
}

std::optional<ConnectionId> PrivateMessages::openFrom(const InstanceHash& instance) const {
  for (const auto& [connection, sender] : senders_) {
    const bool isIt = sender.introduction.instance == instance;
    if (isIt && sender.phase == Sender::Phase::open) return connection;
  }
  return std::nullopt;
}

void PrivateMessages::refuse(ConnectionId connection, Reason reason, std::string why, Effects& fx) {
  fx.sends.push_back(
      {connection, wire::PrivateFrame(wire::PrivateRefusal{reason, std::move(why)})});
  end(connection, fx);
}

void PrivateMessages::end(ConnectionId connection, Effects& fx) {
  senders_.erase(connection);
  fx.closes.push_back({connection});
}

// --- messages

void PrivateMessages::take(ConnectionId connection, Sender& sender, TimePoint now, Effects& fx) {
  using limits::Rate;
  const auto who = sender.introduction;
  sender.takeAt = kNever;
  while (!sender.held.empty()) {
    if (book_.pendingWrites() >= limits::kPrivateWrites) return;  // stored() goes on
    if (!Account::spend({sender.member, sender.address}, Rate::privateMessages, now)) {
      sender.takeAt = std::max(sender.member.affordableAt(Rate::privateMessages, now),
                               sender.address.affordableAt(Rate::privateMessages, now));
      if (sender.takeAt <= now) sender.takeAt = now + std::chrono::milliseconds(50);
      return;
    }
    const wire::PrivateMessage message = std::move(sender.held.front());
    sender.held.pop_front();
    auto* from = book_.find(who.instance);
    if (from != nullptr && !book_.isNew(*from, who.stream, message.number)) {
      if (message.number <= from->received) {
        fx.sends.push_back({connection, wire::PrivateFrame(wire::PrivateStored{from->received})});
      }
      continue;  // else it is acknowledged when it is durable
    }
    PrivateUpdate update{PrivateUpdate::Kind::received, 0, who.from, message.text};
    update.at = std::min(message.at, wallClock(now));
    const bool isFirst = from == nullptr || from->takenAs != who.from;
    update.isOtherThanBefore = isFirst && book_.isAnothers(who.from, who.instance);
    from = book_.findOrMake(who.instance, who.from, fx.privateWrites);
    if (from == nullptr) {
      return refuse(connection, Reason::notNow, "it has too many conversations", fx);
    }
    const auto ticket =
        book_.keepReceived(*from, who.from, who.stream, message, update.at, fx.privateWrites);
    taken_.push_back({ticket, who.instance, who.stream, message.number, std::move(update)});
  }
}

void PrivateMessages::takeAll(TimePoint now, Effects& fx) {
  std::vector<ConnectionId> holding;
  for (const auto& [connection, sender] : senders_) {
    if (!sender.held.empty()) holding.push_back(connection);
  }
  for (const ConnectionId connection : holding) {
    const auto sender = senders_.find(connection);
    if (sender != senders_.end()) take(connection, sender->second, now, fx);
  }
}

void PrivateMessages::tickSenders(TimePoint now, Effects& fx) {
  std::vector<ConnectionId> silent;
  bool isDue = false;
  for (const auto& [connection, sender] : senders_) {
    isDue = isDue || sender.takeAt <= now;
    if (sender.heard + 2 * limits::kPrivateIdle <= now) silent.push_back(connection);
  }
  for (const ConnectionId connection : silent) end(connection, fx);
  if (isDue) takeAll(now, fx);
}

}  // namespace espalier::peer
