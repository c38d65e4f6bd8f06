#include "peer/core/private/private_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"

namespace espalier::peer {

PrivateBook::PrivateBook(PrivateState state, Random& random)
    : random_(random), ignored_(std::move(state.ignored)) {
  for (auto& old : state.conversations) {
    Conversation& made = conversations_[old.with];
    made.with = old.with;
    made.id = old.id;
    made.stream = old.stream;
    made.sent = made.offered = old.sent;
    made.writtenTo = old.writtenTo;
    made.takenAs = old.id;
    if (!old.writtenTo.empty()) made.written = uses_ + 1;
    made.theirStream = old.theirStream;
    made.taken = made.received = old.received;
    for (const auto& message : old.messages) {
      note(made, message.position, message.textBytes, false);
      position_ = std::max(position_, message.position);
    }
    for (auto& waits : old.waiting) {
      const auto kept = std::find_if(made.kept.begin(), made.kept.end(), [&](const Kept& each) {
        return each.position == waits.position;
      });
      if (kept == made.kept.end()) continue;
      kept->isWaiting = true;
      ++waiting_;
      made.waiting.push_back({waits.position, waits.number, waits.at, std::move(waits.text)});
    }
    use(made);
  }
}

// --- conversations

PrivateBook::Conversation* PrivateBook::find(const InstanceHash& with) {
  const auto found = conversations_.find(with);
  return found == conversations_.end() ? nullptr : &found->second;
}

PrivateBook::Conversation* PrivateBook::latest(const PeerId& id) {
  return const_cast<Conversation*>(std::as_const(*this).latest(id));
}

const PrivateBook::Conversation* PrivateBook::latest(const PeerId& id) const {
  const Conversation* best = nullptr;
  const auto rank = [&](const Conversation& one) {
    return std::pair(one.writtenTo == id ? one.written : 0, one.used);
  };
  for (const auto& [with, each] : conversations_) {
    if (each.writtenTo != id && each.id != id) continue;
    if (best == nullptr || rank(*best) < rank(each)) best = &each;
  }
  return best;
}

bool PrivateBook::isAnothers(const PeerId& id, const InstanceHash& instance) const {
  return std::any_of(conversations_.begin(), conversations_.end(), [&](const auto& each) {
    return each.first != instance && (each.second.id == id || each.second.writtenTo == id);
  });
}

void PrivateBook::use(Conversation& conversation) {
  conversation.used = ++uses_;
}

// Of those that may be dropped.
const PrivateBook::Conversation* PrivateBook::leastUsed() const {
  const Conversation* least = nullptr;
  for (const auto& [with, each] : conversations_) {
    if (each.isWritten() || each.taken > each.received) continue;
    if (least == nullptr || each.used < least->used) least = &each;
  }
  return least;
}

bool PrivateBook::hasRoomFor(const InstanceHash& with) const {
  return conversations_.size() < limits::kPrivateConversations || conversations_.contains(with) ||
         leastUsed() != nullptr;
}

PrivateBook::Conversation* PrivateBook::findOrMake(const InstanceHash& with, const PeerId& id,
                                                   Writes& out) {
  if (auto* there = find(with)) return there;
  if (conversations_.size() >= limits::kPrivateConversations) {
    const Conversation* least = leastUsed();
    if (least == nullptr) return nullptr;
    write(DropConversation{least->with}, out);
    bytes_ -= least->bytes;
    conversations_.erase(InstanceHash(least->with));
  }
  Conversation& made = conversations_[with];
  made.with = with;
  made.id = id;
  use(made);
  return &made;
}

void PrivateBook::rename(Conversation& conversation, const PeerId& id) {
  conversation.id = id;
}

// --- room

void PrivateBook::note(Conversation& conversation, PrivatePosition position, std::size_t textBytes,
                       bool isWaiting) {
  const auto bytes = static_cast<std::uint32_t>(textBytes + limits::kPrivateRowBytes);
  conversation.kept.push_back({position, bytes, isWaiting});
  conversation.bytes += bytes;
  bytes_ += bytes;
}

// Whether it has a message that does not wait and was not kept just now.
bool PrivateBook::mayDrop(const Conversation& conversation) const {
  const auto& kept = conversation.kept;
  const bool isJustNow =
      !kept.empty() && kept.back().position == position_ && !kept.back().isWaiting;
  return kept.size() > conversation.waiting.size() + (isJustNow ? 1 : 0);
}

void PrivateBook::dropOldest(Conversation& conversation, Writes& out) {
  auto& kept = conversation.kept;
  const auto oldest =
      std::find_if(kept.begin(), kept.end(), [](const Kept& each) { return !each.isWaiting; });
  write(DropMessage{oldest->position}, out);
  conversation.bytes -= oldest->bytes;
  bytes_ -= oldest->bytes;
  kept.erase(oldest);
}

void PrivateBook::makeRoom(Conversation& conversation, Writes& out) {
  const auto& kept = conversation.kept;
  while (kept.size() > limits::kPrivateMessages + conversation.waiting.size()) {
    dropOldest(conversation, out);
  }
  while (bytes_ > limits::kPrivateBytes) {
    Conversation* most = nullptr;
    for (auto& [with, each] : conversations_) {
      if (mayDrop(each) && (most == nullptr || most->bytes < each.bytes)) most = &each;
    }
    if (most == nullptr) return;  // all that is kept waits, which has a bound of its own
    dropOldest(*most, out);
  }
}

// --- the outbox

bool PrivateBook::isOutboxFull() const {
  return waiting_ >= limits::kPrivateOutbox;
}

std::vector<InstanceHash> PrivateBook::recipients() const {
  std::vector<InstanceHash> recipients;
  for (const auto& [with, each] : conversations_) {
    if (!each.waiting.empty()) recipients.push_back(with);
  }
  return recipients;
}

std::uint64_t PrivateBook::newStream() {
  const std::uint64_t drawn = random_();
  return drawn == 0 ? 1 : drawn;
}

void PrivateBook::keepSent(Conversation& to, const PeerId& named, std::string text,
                           std::chrono::milliseconds at, std::uint64_t request, TimePoint now,
                           Writes& out) {
  if (to.stream == 0) to.stream = newStream();
  const PrivatePosition position = ++position_;
  const std::uint64_t number = ++to.sent;
  note(to, position, text.size(), true);
  ++waiting_;
  const auto ticket =
      write(KeepSent{position, to.with, to.id, to.stream, number, at, text, named}, out);
  to.waiting.push_back({position, number, at, std::move(text), ticket, request, now});
  use(to);
  to.writtenTo = named;
  to.written = to.used;
  makeRoom(to, out);
}

void PrivateBook::endSent(Conversation& to, bool isDelivered, Writes& out) {
  const PrivatePosition position = to.waiting.front().position;
  write(EndSent{position, isDelivered}, out);
  to.waiting.pop_front();
  --waiting_;
  for (auto& kept : to.kept) {
    if (kept.position == position) kept.isWaiting = false;
  }
}

void PrivateBook::renumber(Conversation& to, Writes& out) {
  to.stream = newStream();
  to.sent = to.offered = 0;
  RenumberSent all{to.with, to.stream, {}};
  for (auto& each : to.waiting) {
    each.number = ++to.sent;
    all.numbers.emplace_back(each.position, each.number);
  }
  const auto ticket = write(std::move(all), out);
  for (auto& each : to.waiting) each.ticket = ticket;
}

// --- what arrives

bool PrivateBook::isNew(const Conversation& from, std::uint64_t stream,
                        std::uint64_t number) const {
  return from.theirStream != stream || number > from.taken;
}

std::uint64_t PrivateBook::keepReceived(Conversation& from, const PeerId& id, std::uint64_t stream,
                                        const wire::PrivateMessage& message,
                                        std::chrono::milliseconds at, Writes& out) {
  if (from.theirStream != stream) from.received = 0;
  from.theirStream = stream;
  from.taken = message.number;
  from.takenAs = id;
  rename(from, id);
  const PrivatePosition position = ++position_;
  note(from, position, message.text.size(), false);
  use(from);
  const auto ticket =
      write(KeepReceived{position, from.with, id, stream, message.number, at, message.text}, out);
  makeRoom(from, out);
  return ticket;
}

// --- whom this peer's user ignores

bool PrivateBook::isIgnored(const PeerId& id, const InstanceHash& instance) const {
  return std::any_of(ignored_.begin(), ignored_.end(), [&](const Ignored& each) {
    return each.id == id || (!instance.isZero() && each.instance == instance);
  });
}

Result<std::uint64_t> PrivateBook::ignore(const PeerId& id, Writes& out) {
  const Conversation* known = latest(id);
  const Ignored wanted{id, known == nullptr ? InstanceHash() : known->with};
  if (std::find(ignored_.begin(), ignored_.end(), wanted) != ignored_.end()) {
    return Error{ErrorCode::failed, id.text() + " is ignored already"};
  }
  if (ignored_.size() >= limits::kPrivateIgnored) {
    return Error{ErrorCode::refused,
                 fmt::format("{} peers are ignored already", limits::kPrivateIgnored)};
  }
  ignored_.push_back(wanted);
  return write(ChangeIgnored{wanted, true}, out);
}

Result<std::uint64_t> PrivateBook::unignore(const PeerId& id, Writes& out) {
  std::uint64_t ticket = 0;
  for (auto each = ignored_.begin(); each != ignored_.end();) {
    if (each->id != id) {
      ++each;
      continue;
    }
    ticket = write(ChangeIgnored{*each, false}, out);
    each = ignored_.erase(each);
  }
  if (ticket == 0) return Error{ErrorCode::failed, id.text() + " is not ignored"};
  return ticket;
}

// --- for tests

Result<void> PrivateBook::checkInvariants() const {
  const auto broken = [](const Conversation& where, std::string_view what) {
    return Error{ErrorCode::failed, fmt::format("{}: {}", where.id.text(), what)};
  };
  std::size_t waiting = 0;
  std::uint64_t bytes = 0;
  for (const auto& [with, each] : conversations_) {
    waiting += each.waiting.size();
    bytes += each.bytes;
    std::uint64_t own = 0;
    std::size_t marked = 0;
    for (const auto& kept : each.kept) {
      own += kept.bytes;
      marked += kept.isWaiting ? 1 : 0;
    }
    if (own != each.bytes) return broken(each, "its bytes are not those of its messages");
    if (marked != each.waiting.size()) return broken(each, "not all that wait are kept");
    if (each.received > each.taken) return broken(each, "more is durable than was taken");
    std::uint64_t last = 0;
    for (const auto& waits : each.waiting) {
      if (waits.number <= last) return broken(each, "two messages that wait have one number");
      last = waits.number;
    }
    if (last > each.sent) return broken(each, "a number waits that was not given");
  }
  if (waiting != waiting_ || waiting_ > limits::kPrivateOutbox) {
    return Error{ErrorCode::failed, "the outbox is not counted"};
  }
  if (bytes != bytes_) return Error{ErrorCode::failed, "the bytes are not counted"};
  return {};
}

}  // namespace espalier::peer
