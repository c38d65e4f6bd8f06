#include "peer/core/private/private_messages.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"

namespace espalier::peer {

PrivateMessages::PrivateMessages(wire::Contact self, Options options, ConnectionNumbers& numbers,
                                 Random& random, Budget& budget, TimePoint now)
    : self_(std::move(self.id)),
      instance_(options.instance),
      wallClock_(options.wallClock),
      wallClockAt_(now),
      numbers_(numbers),
      random_(random),
      budget_(budget),
      book_(std::move(options.state), random) {
  for (const auto& with : book_.recipients()) recipients_.try_emplace(with);
}

void PrivateMessages::ignore(std::uint64_t request, const PeerId& id, bool isIgnored, TimePoint now,
                             Effects& fx) {
  requests_.insert(request);
  const auto ticket =
      isIgnored ? book_.ignore(id, fx.privateWrites) : book_.unignore(id, fx.privateWrites);
  if (!ticket) {
    PrivateUpdate update{PrivateUpdate::Kind::failed, request, id};
    update.error = ticket.error();
    return updateOf(request, std::move(update), fx);
  }
  ignores_[*ticket] = request;
  if (!isIgnored) return;
  std::vector<ConnectionId> theirs;
  for (const auto& [connection, sender] : senders_) {
    const auto& who = sender.introduction;
    if (sender.phase == Sender::Phase::open && book_.isIgnored(who.from, who.instance)) {
      theirs.push_back(connection);
    }
  }
  for (const ConnectionId connection : theirs) {
    refuse(connection, wire::PrivateRefusal::Reason::turnedAway,
           self_.text() + " takes no messages from " + id.text(), fx);
  }
  (void)now;
}

PrivateMessages::Left PrivateMessages::forget(std::uint64_t request) {
  requests_.erase(request);
  for (const auto& [with, conversation] : book_.all()) {
    for (const auto& each : conversation.waiting) {
      if (each.request == request) return each.ticket == 0 ? Left::onDisk : Left::inMemory;
    }
  }
  return Left::nothing;
}

void PrivateMessages::updateOf(std::uint64_t request, PrivateUpdate update, Effects& fx) {
  if (requests_.erase(request) == 0) return;
  update.request = request;
  fx.privateUpdates.push_back(std::move(update));
}

// --- questions to the metaserver

bool PrivateMessages::lookUp(PeerId id, std::variant<ForWish, ForRecipient, ForSender> purpose,
                             TimePoint now) {
  // Senders leave half of them to this peer's own messages.
  const bool isForSender = std::holds_alternative<ForSender>(purpose);
  const std::size_t most = limits::kPrivateLookUps / (isForSender ? 2 : 1);
  if (wanted_.size() + lookUps_.size() >= most) return false;
  wanted_.push_back({{std::move(id)}, std::move(purpose), now + limits::kPrivateAnswer});
  return true;
}

const MemberQuestion* PrivateMessages::wanted() const {
  return wanted_.empty() ? nullptr : &wanted_.front().what;
}

void PrivateMessages::asked(std::uint64_t number) {
  lookUps_.insert_or_assign(number, std::move(wanted_.front()));
  wanted_.pop_front();
}

void PrivateMessages::notAsked(TimePoint now, Effects& fx) {
  OpenLookUp lookUp = std::move(wanted_.front());
  wanted_.pop_front();
  answer(std::move(lookUp), nullptr, "the metaserver is out of reach", now, fx);
}

// A metaserver of an older version names all members, page by page.
bool PrivateMessages::told(std::uint64_t number, const wire::Topology& topology, TimePoint now,
                           Effects& fx) {
  const auto found = lookUps_.find(number);
  if (found == lookUps_.end()) return false;
  OpenLookUp lookUp = std::move(found->second);
  lookUps_.erase(found);
  const wire::Contact* member = nullptr;
  JoinOrder last = lookUp.what.after;
  bool isInOrder = true;
  for (const auto& entry : topology.entries) {
    isInOrder = isInOrder && entry.member.order > last;
    last = entry.member.order;
    if (entry.member.id == lookUp.what.id) member = &entry.member;
  }
  if (!isInOrder) {
    answer(std::move(lookUp), nullptr, "the metaserver answers what it was not asked", now, fx);
    return true;
  }
  if (member == nullptr && topology.more) {
    lookUp.what.after = last;
    wanted_.push_back(std::move(lookUp));
    return true;
  }
  answer(std::move(lookUp), member, {}, now, fx);
  return true;
}

void PrivateMessages::metaserverLost(TimePoint now, Effects& fx) {
  auto open = std::exchange(lookUps_, {});
  for (auto& [number, lookUp] : open) {
    answer(std::move(lookUp), nullptr, "the metaserver is out of reach", now, fx);
  }
}

void PrivateMessages::answer(OpenLookUp lookUp, const wire::Contact* member,
                             const std::string& problem, TimePoint now, Effects& fx) {
  if (auto* wish = std::get_if<ForWish>(&lookUp.purpose)) {
    wishAnswered(std::move(wish->wish), member, problem, now, fx);
  } else if (const auto* recipient = std::get_if<ForRecipient>(&lookUp.purpose)) {
    recipientFound(recipient->with, member, problem, now, fx);
  } else {
    senderFound(std::get<ForSender>(lookUp.purpose).connection, member, problem, fx);
  }
}

// --- events of the shell

bool PrivateMessages::owns(ConnectionId connection) const {
  return dialled_.contains(connection) || senders_.contains(connection);
}

void PrivateMessages::received(ConnectionId connection, const wire::PrivateFrame& frame,
                               TimePoint now, Effects& fx) {
  if (const auto dialled = dialled_.find(connection); dialled != dialled_.end()) {
    return answered(InstanceHash(dialled->second), frame, now, fx);
  }
  const auto found = senders_.find(connection);
  if (found == senders_.end()) return;
  Sender& sender = found->second;
  sender.heard = now;
  if (const auto* introduction = std::get_if<wire::PrivateIntroduction>(&frame)) {
    if (sender.phase == Sender::Phase::fresh) {
      return introduced(connection, sender, *introduction, now, fx);
    }
  } else if (const auto* message = std::get_if<wire::PrivateMessage>(&frame)) {
    const bool isExpected = sender.phase == Sender::Phase::open;
    if (isExpected && sender.held.size() < limits::kPrivateWindow) {
      sender.held.push_back(*message);
      return take(connection, sender, now, fx);
    }
  }
  end(connection, fx);  // it says what nobody asked for
}

void PrivateMessages::failed(ConnectionId connection, const Error& why, TimePoint now,
                             Effects& fx) {
  if (senders_.erase(connection) != 0) return;
  const auto dialled = dialled_.find(connection);
  if (dialled == dialled_.end()) return;
  const InstanceHash with = dialled->second;
  const auto* conversation = book_.find(with);
  std::string text = why.message;
  if (conversation != nullptr) {
    const bool isRefusal = why.code == ErrorCode::protocol || why.code == ErrorCode::refused;
    text = conversation->id.text() + " cannot be reached at " + recipients_[with].endpoint.text() +
           (isRefusal ? " (" + why.message + ")" : "");
  }
  putOff(with, text, now, fx);
}

void PrivateMessages::closed(ConnectionId connection, TimePoint now, Effects& fx) {
  if (senders_.erase(connection) != 0) return;
  const auto dialled = dialled_.find(connection);
  if (dialled == dialled_.end()) return;
  const InstanceHash with = dialled->second;
  const auto* conversation = book_.find(with);
  const std::string name = conversation == nullptr ? std::string() : conversation->id.text();
  putOff(with, "the connection to " + name + " ended before it was stored", now, fx);
}

void PrivateMessages::stored(std::uint64_t ticket, TimePoint now, Effects& fx) {
  book_.stored(ticket);
  while (!ignores_.empty() && ignores_.begin()->first <= ticket) {
    const std::uint64_t request = ignores_.begin()->second;
    ignores_.erase(ignores_.begin());
    updateOf(request, {PrivateUpdate::Kind::ignored}, fx);
  }
  while (!taken_.empty() && taken_.front().ticket <= ticket) {
    Taken taken = std::move(taken_.front());
    taken_.pop_front();
    if (auto* from = book_.find(taken.from); from != nullptr && from->theirStream == taken.stream) {
      from->received = std::max(from->received, std::min(taken.number, from->taken));
    }
    const bool isLast =
        taken_.empty() || taken_.front().ticket > ticket || taken_.front().from != taken.from;
    const auto connection = isLast ? openFrom(taken.from) : std::nullopt;
    if (connection && senders_.at(*connection).introduction.stream == taken.stream) {
      fx.sends.push_back({*connection, wire::PrivateFrame(wire::PrivateStored{taken.number})});
    }
    fx.privateUpdates.push_back(std::move(taken.update));
  }
  std::vector<InstanceHash> ready;
  for (const auto& [with, recipient] : recipients_) {
    auto* conversation = book_.find(with);
    if (conversation == nullptr) continue;
    bool isNews = false;
    for (auto& each : conversation->waiting) {
      if (each.ticket == 0 || each.ticket > ticket) continue;
      each.ticket = 0;
      isNews = true;
    }
    if (isNews) ready.push_back(with);
  }
  for (const auto& with : ready) {
    const auto recipient = recipients_.find(with);
    if (recipient == recipients_.end()) continue;
    // An attempt that was put off waits for its time.
    const TimePoint retryAt = recipient->second.retryAt;
    const bool isPutOff =
        recipient->second.phase == Recipient::Phase::idle && retryAt != kNever && retryAt > now;
    if (!isPutOff) attempt(with, now, fx);
  }
  takeAll(now, fx);
}

void PrivateMessages::tick(TimePoint now, Effects& fx) {
  std::vector<OpenLookUp> silent;
  for (auto open = lookUps_.begin(); open != lookUps_.end();) {
    if (open->second.until > now) {
      ++open;
      continue;
    }
    silent.push_back(std::move(open->second));
    open = lookUps_.erase(open);
  }
  for (auto& lookUp : silent) {
    answer(std::move(lookUp), nullptr, "the metaserver does not answer", now, fx);
  }
  expire(now, fx);
  tickRecipients(now, fx);
  tickSenders(now, fx);
}

TimePoint PrivateMessages::deadline() const {
  TimePoint first = kNever;
  for (const auto& [number, lookUp] : lookUps_) first = std::min(first, lookUp.until);
  const bool isRoom = activeRecipients() < limits::kPrivateRecipients;
  for (const auto& [with, recipient] : recipients_) {
    if (recipient.phase == Recipient::Phase::idle) {
      if (isRoom) first = std::min(first, recipient.retryAt);
      continue;
    }
    first = std::min(first, recipient.answerBy);
    if (recipient.idleFrom != kNever) {
      first = std::min<TimePoint>(first, recipient.idleFrom + limits::kPrivateIdle);
    }
  }
  for (const auto& [connection, sender] : senders_) {
    first = std::min(first, sender.takeAt);
    first = std::min<TimePoint>(first, sender.heard + 2 * limits::kPrivateIdle);
  }
  return first;
}

}  // namespace espalier::peer
