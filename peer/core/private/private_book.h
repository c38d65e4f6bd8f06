// What a peer keeps of private messages: the conversations with other instances, the outbox, whom
// its user ignores. Everything that changes here is written by an effect (PrivateWrite).
//
//   message to send  --keepSent()--> waits, not durable --stored()--> waits --endSent()--> history
//   message received --keepReceived()--> taken, not durable --stored()--> durable: history
//
// Invariants:
//   - A conversation belongs to an instance, whatever id it has.
//   - The numbers of a stream are given once. A new stream begins where the recipient knows a
//     higher number than was given: this peer's state is older than that.
//   - A received message is taken once: only a number above all that were taken of its stream.
//   - Bounds: limits::kPrivateOutbox messages wait; beside them limits::kPrivateMessages of a
//     conversation and limits::kPrivateBytes of all are kept. Of a conversation the oldest message
//     that does not wait makes room; of all conversations, in the one that has most bytes. What was
//     kept just now never does. Of all conversations (at most limits::kPrivateConversations) the
//     one that was silent longest makes room, unless this peer's user has written in it.
//
// Part of PrivateMessages. Does no I/O, not thread-safe. O(log n) a call; O(n) where something has
// to make room.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/wire/private.h"
#include "peer/core/private/private_writes.h"

namespace espalier::peer {

class PrivateBook {
 public:
  struct Outgoing {
    PrivatePosition position = 0;
    std::uint64_t number = 0;
    std::chrono::milliseconds at{};
    std::string text;
    std::uint64_t ticket = 0;   // of the write that makes it durable; 0: it is
    std::uint64_t request = 0;  // of the command that waits for it; 0: none
    TimePoint since = kNever;   // when this process took it; kNever: an earlier one has
  };
  struct Kept {
    PrivatePosition position = 0;
    std::uint32_t bytes = 0;
    bool isWaiting = false;
  };
  struct Conversation {
    InstanceHash with;
    PeerId id;                  // that the other end had last
    PeerId writtenTo;           // as which this peer's user has written to it last; empty: never
    PeerId takenAs;             // as which its last message was taken
    std::uint64_t written = 0;  // counts what the user wrote in all conversations
    std::uint64_t stream = 0;
    std::uint64_t sent = 0;     // the highest number of the stream that was given
    std::uint64_t offered = 0;  // … that may have been on a connection
    std::uint64_t theirStream = 0;
    std::uint64_t taken = 0;     // of their stream
    std::uint64_t received = 0;  // of those taken: durable
    std::uint64_t used = 0;      // counts uses of all conversations
    std::uint64_t bytes = 0;
    std::deque<Outgoing> waiting;  // by number
    std::deque<Kept> kept;         // by position

    bool isWritten() const { return stream != 0; }
  };
  using Writes = std::vector<PrivateWrite>;

  PrivateBook(PrivateState state, Random& random);

  // --- conversations
  Conversation* find(const InstanceHash& with);
  // Whom the user means by this id: the one to which it has written last under this id. So nobody
  // else gets there by taking an id. Else the one that was used last of those who have it.
  Conversation* latest(const PeerId& id);
  const Conversation* latest(const PeerId& id) const;
  // Whether a conversation with another instance is known under this id.
  bool isAnothers(const PeerId& id, const InstanceHash& instance) const;
  // Null: there is no room.
  Conversation* findOrMake(const InstanceHash& with, const PeerId& id, Writes& out);
  bool hasRoomFor(const InstanceHash& with) const;
  // The other end has this id now. Written with its next message.
  void rename(Conversation& conversation, const PeerId& id);
  const std::map<InstanceHash, Conversation>& all() const { return conversations_; }

  // --- the outbox
  bool isOutboxFull() const;
  std::size_t waitingCount() const { return waiting_; }
  // The instances that messages wait for.
  std::vector<InstanceHash> recipients() const;
  // `named`: the id that the user has named.
  void keepSent(Conversation& to, const PeerId& named, std::string text,
                std::chrono::milliseconds at, std::uint64_t request, TimePoint now, Writes& out);
  // The first that waits is delivered, or given up.
  void endSent(Conversation& to, bool isDelivered, Writes& out);
  // The recipient has stored numbers that were not given.
  void renumber(Conversation& to, Writes& out);

  // --- what arrives
  // Whether it is new. What the numbers of another stream were does not matter.
  bool isNew(const Conversation& from, std::uint64_t stream, std::uint64_t number) const;
  // Returns the ticket. `id`: that the sender has now.
  std::uint64_t keepReceived(Conversation& from, const PeerId& id, std::uint64_t stream,
                             const wire::PrivateMessage& message, std::chrono::milliseconds at,
                             Writes& out);

  // --- whom this peer's user ignores
  bool isIgnored(const PeerId& id, const InstanceHash& instance) const;
  const std::vector<Ignored>& ignored() const { return ignored_; }
  // Returns the ticket; an error where there is nothing to change, or no room.
  Result<std::uint64_t> ignore(const PeerId& id, Writes& out);
  Result<std::uint64_t> unignore(const PeerId& id, Writes& out);

  // Writes that are not durable yet.
  std::uint64_t pendingWrites() const { return tickets_ - stored_; }
  void stored(std::uint64_t ticket) { stored_ = ticket; }

  // For tests. The message says what is wrong.
  Result<void> checkInvariants() const;

 private:
  template <typename What>
  std::uint64_t write(What what, Writes& out) {
    out.push_back({++tickets_, std::move(what)});
    return tickets_;
  }
  void use(Conversation& conversation);
  void note(Conversation& conversation, PrivatePosition position, std::size_t textBytes,
            bool isWaiting);
  bool mayDrop(const Conversation& conversation) const;
  void dropOldest(Conversation& conversation, Writes& out);
  void makeRoom(Conversation& conversation, Writes& out);
  const Conversation* leastUsed() const;
  std::uint64_t newStream();

  Random& random_;
  std::map<InstanceHash, Conversation> conversations_;
  std::vector<Ignored> ignored_;
  std::size_t waiting_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t uses_ = 0;
  PrivatePosition position_ = 0;  // the highest that was given
  std::uint64_t tickets_ = 0;
  std::uint64_t stored_ = 0;
};

}  // namespace espalier::peer
