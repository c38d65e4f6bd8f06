// The part of PrivateMessages that sends: whom messages wait for, and how they get there.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "peer/core/private/private_messages.h"

namespace espalier::peer {

using Kind = PrivateUpdate::Kind;

namespace {

constexpr auto kNewcomersEvery = std::chrono::seconds(5);  // tuning: see membersSeen()

}  // namespace

// --- what the user wants

void PrivateMessages::fail(const PrivateWish& wish, Error error, Effects& fx) {
  PrivateUpdate update{Kind::failed, wish.request, wish.to};
  update.error = std::move(error);
  updateOf(wish.request, std::move(update), fx);
}

void PrivateMessages::send(PrivateWish wish, TimePoint now, Effects& fx) {
  if (requests_.size() >= limits::kPrivateRequests) {
    PrivateUpdate update{Kind::failed, wish.request, wish.to};
    update.error = {ErrorCode::timeout, "too many messages are being sent at once"};
    fx.privateUpdates.push_back(std::move(update));
    return;
  }
  requests_.insert(wish.request);
  if (wish.to == self_) {
    return fail(wish, {ErrorCode::usage, wish.to.text() + " is this peer"}, fx);
  }
  // Whoever is connected needs no question.
  if (auto* known = wish.isNew ? nullptr : book_.latest(wish.to)) {
    const auto recipient = recipients_.find(known->with);
    if (recipient != recipients_.end() && recipient->second.phase == Recipient::Phase::open) {
      return keep(*known, std::move(wish), now, fx);
    }
  }
  const PeerId to = wish.to;
  const std::uint64_t request = wish.request;
  if (lookUp(to, ForWish{std::move(wish)}, now)) return;
  PrivateWish refused;
  refused.request = request;
  refused.to = to;
  fail(refused, {ErrorCode::timeout, "too many messages are being sent at once"}, fx);
}

void PrivateMessages::wishAnswered(PrivateWish wish, const wire::Contact* member,
                                   const std::string& problem, TimePoint now, Effects& fx) {
  if (!requests_.contains(wish.request)) return;  // its user does not want it any more
  const std::string& name = wish.to.text();
  auto* known = wish.isNew ? nullptr : book_.latest(wish.to);
  if (member == nullptr) {
    if (known != nullptr) return keep(*known, std::move(wish), now, fx);
    if (!problem.empty()) return fail(wish, {ErrorCode::unavailable, problem}, fx);
    return fail(wish,
                {ErrorCode::failed, name + " is not in the network, and has had no messages of "
                                           "this peer before: nothing can wait for it"},
                fx);
  }
  if (member->instance.isZero()) {
    return fail(wish,
                {ErrorCode::failed,
                 name + " runs a program that is too old for private messages: nothing was sent"},
                fx);
  }
  if (member->instance == instance_) {
    return fail(wish, {ErrorCode::usage, name + " is this peer"}, fx);
  }
  if (known != nullptr && known->with != member->instance) {
    return fail(wish,
                {ErrorCode::refused,
                 fmt::format("{} is another peer than the one that you have exchanged messages "
                             "with: nothing was sent; msg --new {} TEXT writes to this one",
                             name, name)},
                fx);
  }
  if (book_.isOutboxFull()) return failFull(wish, fx);
  auto* to = book_.findOrMake(member->instance, wish.to, fx.privateWrites);
  if (to == nullptr) {
    return fail(wish, {ErrorCode::refused, "there are too many conversations"}, fx);
  }
  book_.rename(*to, wish.to);
  Recipient& recipient = recipients_[to->with];
  if (recipient.phase == Recipient::Phase::idle) {
    recipient.endpoint = member->endpoint;
    recipient.isLookedUp = true;
  }
  keep(*to, std::move(wish), now, fx);
}

void PrivateMessages::failFull(const PrivateWish& wish, Effects& fx) {
  const auto* to = std::as_const(book_).latest(wish.to);
  fail(wish,
       {ErrorCode::refused,
        fmt::format(
            "the outbox is full: {} messages wait in it, {} of them for {}; nothing was sent",
            book_.waitingCount(), to == nullptr ? 0 : to->waiting.size(), wish.to.text())},
       fx);
}

void PrivateMessages::keep(Conversation& to, PrivateWish wish, TimePoint now, Effects& fx) {
  if (book_.isOutboxFull()) return failFull(wish, fx);
  Recipient& recipient = recipients_[to.with];
  if (recipient.phase == Recipient::Phase::idle) recipient.retryAt = kNever;  // until it is durable
  recipient.idleFrom = kNever;
  book_.keepSent(to, wish.to, std::move(wish.text), wallClock(now), wish.request, now,
                 fx.privateWrites);
}

// --- connections

std::size_t PrivateMessages::activeRecipients() const {
  return static_cast<std::size_t>(
      std::count_if(recipients_.begin(), recipients_.end(),
                    [](const auto& each) { return each.second.phase != Recipient::Phase::idle; }));
}

// A connection on which nothing waits is closed for one that is wanted.
bool PrivateMessages::makeRoomForRecipient(Effects& fx) {
  if (activeRecipients() < limits::kPrivateRecipients) return true;
  const auto spare = std::find_if(recipients_.begin(), recipients_.end(),
                                  [](const auto& each) { return each.second.idleFrom != kNever; });
  if (spare == recipients_.end()) return false;
  dialled_.erase(spare->second.connection);
  fx.closes.push_back({spare->second.connection});
  recipients_.erase(spare);
  return true;
}

void PrivateMessages::attempt(const InstanceHash& with, TimePoint now, Effects& fx) {
  auto* conversation = book_.find(with);
  if (conversation == nullptr || conversation->waiting.empty()) {
    recipients_.erase(with);
    return;
  }
  Recipient& recipient = recipients_[with];
  if (recipient.phase == Recipient::Phase::open) {
    return sendWaiting(*conversation, recipient, now, fx);
  }
  if (recipient.phase != Recipient::Phase::idle) return;
  if (conversation->waiting.front().ticket != 0) {
    recipient.retryAt = kNever;
    return;
  }
  recipient.retryAt = now;
  if (!makeRoomForRecipient(fx)) return;
  if (std::exchange(recipient.isLookedUp, false)) return dial(recipient, recipient.endpoint, fx);
  if (lookUp(conversation->id, ForRecipient{with}, now)) {
    recipient.phase = Recipient::Phase::lookUp;
  } else {
    recipient.retryAt = now + recipient.backoff.next(random_);
  }
}

void PrivateMessages::recipientFound(const InstanceHash& with, const wire::Contact* member,
                                     const std::string& problem, TimePoint now, Effects& fx) {
  const auto found = recipients_.find(with);
  if (found == recipients_.end() || found->second.phase != Recipient::Phase::lookUp) return;
  const auto* to = book_.find(with);
  const std::string name = to == nullptr ? std::string() : to->id.text();
  if (!problem.empty()) return putOff(with, problem, now, fx);
  if (member == nullptr) return putOff(with, name + " is not in the network", now, fx);
  if (member->instance.isZero()) {
    return putOff(with, name + " runs a program that is too old for private messages", now, fx);
  }
  if (member->instance != with) {
    return putOff(with,
                  name + " is another peer now, and gets nothing that was meant for the one before",
                  now, fx);
  }
  dial(found->second, member->endpoint, fx);
}

void PrivateMessages::dial(Recipient& recipient, const Endpoint& to, Effects& fx) {
  recipient.phase = Recipient::Phase::dialling;
  recipient.connection = numbers_.next();
  recipient.endpoint = to;
  recipient.sent = 0;
  const auto owner = std::find_if(recipients_.begin(), recipients_.end(),
                                  [&](const auto& each) { return &each.second == &recipient; });
  dialled_[recipient.connection] = owner->first;
  fx.dials.push_back({recipient.connection, to, wire::Purpose::privates});
}

void PrivateMessages::opened(ConnectionId connection, TimePoint now, Effects& fx) {
  const auto dialled = dialled_.find(connection);
  if (dialled == dialled_.end()) return;
  auto* to = book_.find(dialled->second);
  if (to == nullptr) return;
  Recipient& recipient = recipients_[to->with];
  recipient.phase = Recipient::Phase::introduced;
  recipient.answerBy = now + limits::kPrivateAnswer;
  fx.sends.push_back({connection, wire::PrivateFrame(wire::PrivateIntroduction{
                                      self_, instance_, to->with, to->stream})});
}

void PrivateMessages::answered(const InstanceHash& with, const wire::PrivateFrame& frame,
                               TimePoint now, Effects& fx) {
  auto* to = book_.find(with);
  const auto found = recipients_.find(with);
  if (to == nullptr || found == recipients_.end()) return;
  Recipient& recipient = found->second;
  if (const auto* refusal = std::get_if<wire::PrivateRefusal>(&frame)) {
    return refusedBy(*to, *refusal, now, fx);
  }
  if (const auto* ready = std::get_if<wire::PrivateReady>(&frame);
      ready != nullptr && recipient.phase == Recipient::Phase::introduced) {
    if (ready->received > to->offered) {
      // This peer's state is older than what the recipient has.
      fx.warn(to->id,
              fmt::format("{} has messages of this peer that its private.db does not know: they "
                          "were lost here",
                          to->id.text()));
      book_.renumber(*to, fx.privateWrites);
      return putOff(with, "the messages get other numbers first", now, fx);
    }
    recipient.phase = Recipient::Phase::open;
    recipient.sent = ready->received;
    return delivered(*to, recipient, ready->received, now, fx);
  }
  if (const auto* stored = std::get_if<wire::PrivateStored>(&frame);
      stored != nullptr && recipient.phase == Recipient::Phase::open &&
      stored->number <= recipient.sent) {
    return delivered(*to, recipient, stored->number, now, fx);
  }
  putOff(with, to->id.text() + " does not answer as it should", now, fx);
}

void PrivateMessages::sendWaiting(Conversation& to, Recipient& recipient, TimePoint now,
                                  Effects& fx) {
  const std::size_t most = std::min(to.waiting.size(), limits::kPrivateWindow);
  for (std::size_t i = 0; i < most; ++i) {
    const auto& each = to.waiting[i];
    if (each.ticket != 0) break;  // not durable here yet
    if (each.number <= recipient.sent) continue;
    fx.sends.push_back({recipient.connection,
                        wire::PrivateFrame(wire::PrivateMessage{each.number, each.at, each.text})});
    recipient.sent = each.number;
    to.offered = std::max(to.offered, each.number);
    if (recipient.answerBy == kNever) recipient.answerBy = now + limits::kPrivateAnswer;
  }
}

void PrivateMessages::delivered(Conversation& to, Recipient& recipient, std::uint64_t upTo,
                                TimePoint now, Effects& fx) {
  while (!to.waiting.empty() && to.waiting.front().number <= upTo) {
    PrivateUpdate update{Kind::delivered, 0, to.id};
    update.waiting = to.waiting.size() - 1;
    updateOf(to.waiting.front().request, std::move(update), fx);
    book_.endSent(to, true, fx.privateWrites);
    recipient.backoff = Backoff(limits::kPrivateRetryLeast, limits::kPrivateRetryMost);
  }
  recipient.answerBy = kNever;
  recipient.idleFrom = to.waiting.empty() ? now : kNever;
  const bool awaits = !to.waiting.empty() && to.waiting.front().number <= recipient.sent;
  if (awaits) recipient.answerBy = now + limits::kPrivateAnswer;
  sendWaiting(to, recipient, now, fx);
}

void PrivateMessages::refusedBy(Conversation& to, const wire::PrivateRefusal& refusal,
                                TimePoint now, Effects& fx) {
  const std::string why =
      fmt::format("{}: {}", to.id.text(), escaped(cutUtf8(refusal.message, limits::kMessageBytes)));
  if (refusal.reason == wire::PrivateRefusal::Reason::turnedAway) {
    const std::string text = to.id.text() + " takes no messages from this peer";
    while (!to.waiting.empty()) giveUpFirst(to, text, fx);
  }
  putOff(InstanceHash(to.with), why, now, fx);
}

// --- trying again

// The attempt has failed: what waits goes on waiting.
void PrivateMessages::putOff(const InstanceHash& with, const std::string& why, TimePoint now,
                             Effects& fx) {
  const auto found = recipients_.find(with);
  if (found == recipients_.end()) return;
  Recipient& recipient = found->second;
  if (dialled_.erase(recipient.connection) != 0) fx.closes.push_back({recipient.connection});
  auto* to = book_.find(with);
  if (to == nullptr || to->waiting.empty()) {
    recipients_.erase(found);
    return;
  }
  recipient.phase = Recipient::Phase::idle;
  recipient.connection = {};
  recipient.answerBy = recipient.idleFrom = kNever;
  recipient.retryAt = now + recipient.backoff.next(random_);
  tellWaits(*to, why, fx);
}

void PrivateMessages::tellWaits(Conversation& to, const std::string& why, Effects& fx) {
  for (auto& each : to.waiting) {
    if (each.request == 0 || each.ticket != 0) continue;
    PrivateUpdate update{Kind::waits, 0, to.id};
    update.text = why;
    update.waiting = to.waiting.size();
    updateOf(std::exchange(each.request, 0), std::move(update), fx);
  }
}

void PrivateMessages::giveUpFirst(Conversation& to, const std::string& why, Effects& fx) {
  const std::uint64_t request = to.waiting.front().request;
  if (requests_.contains(request)) {
    PrivateUpdate update{Kind::refused, 0, to.id};
    update.text = why;
    update.waiting = to.waiting.size() - 1;
    updateOf(request, std::move(update), fx);
  } else {
    fx.warn(to.id, fmt::format("a message that waited for {} is given up: {}", to.id.text(), why));
  }
  book_.endSent(to, false, fx.privateWrites);
}

void PrivateMessages::expire(TimePoint now, Effects& fx) {
  for (const auto& [with, recipient] : recipients_) {
    if (recipient.phase != Recipient::Phase::idle) continue;
    auto* to = book_.find(with);
    while (to != nullptr && !to->waiting.empty()) {
      // The wall clock counts only for messages of an earlier process: it may be set.
      const auto& first = to->waiting.front();
      const bool isOld = first.since == kNever ? first.at + limits::kPrivateKept < wallClock(now)
                                               : first.since + limits::kPrivateKept < now;
      if (!isOld) break;
      giveUpFirst(*to, "it has waited for 30 days", fx);
    }
  }
}

void PrivateMessages::membersSeen(std::uint64_t members, TimePoint now) {
  const bool isMore = members > std::exchange(members_, members);
  if (!isMore || members > limits::kPrivateSmallNetwork) return;
  // Neighbours tell the count: one that lets it flap causes few look-ups of each recipient.
  if (newcomersAt_ <= now) {
    newcomersAt_ = std::max(now + limits::kPrivateNewcomer / 2, newcomersAt_ + kNewcomersEvery);
  }
  for (auto& [with, recipient] : recipients_) {
    if (recipient.phase != Recipient::Phase::idle || recipient.retryAt == kNever) continue;
    recipient.retryAt = std::min(recipient.retryAt, newcomersAt_);
  }
}

void PrivateMessages::tickRecipients(TimePoint now, Effects& fx) {
  std::vector<std::pair<TimePoint, InstanceHash>> due;
  std::vector<InstanceHash> silent;
  for (auto each = recipients_.begin(); each != recipients_.end();) {
    const auto& recipient = each->second;
    const bool isIdle =
        recipient.idleFrom != kNever && now >= recipient.idleFrom + limits::kPrivateIdle;
    if (isIdle) {
      dialled_.erase(recipient.connection);
      fx.closes.push_back({recipient.connection});
      each = recipients_.erase(each);
      continue;
    }
    if (recipient.phase == Recipient::Phase::idle) {
      if (recipient.retryAt <= now) due.emplace_back(recipient.retryAt, each->first);
    } else if (recipient.answerBy <= now) {
      silent.push_back(each->first);
    }
    ++each;
  }
  for (const auto& with : silent) {
    const auto* to = book_.find(with);
    putOff(with, to == nullptr ? "" : to->id.text() + " does not answer", now, fx);
  }
  std::sort(due.begin(), due.end());
  for (const auto& [at, with] : due) attempt(with, now, fx);
}

}  // namespace espalier::peer
