// Private messages of this peer's user to other peers and back: straight from peer to peer, over
// connections of their own. What is kept is in a PrivateBook; this class decides when to look up,
// dial, send and acknowledge.
//
// To each recipient for whom messages wait, one connection at a time:
//
//   idle --its turn--> lookUp --the metaserver names it--> dialling --> introduced --Ready--> open
//     ^                  |                                   |              |                  |
//     +--- backoff ------+---- not there, not reachable, silent, refused ---+---- closed ------+
//
// From each sender one connection:
//
//   fresh --Introduction--> lookUp --a member of that id and instance--> hostCheck --> open
//     |                       |                                              |
//     +-----------------------+---------- refused, with the reason ----------+
//
// Invariants:
//   - A message is sent only when it is durable here. Its number is given once.
//   - It is acknowledged, and shown, only when it is durable here.
//   - What is sent goes to the instance that the user meant: the metaserver says who has the id,
//     and the recipient itself is told whom the connection is for, before the first message.
//   - Nothing is kept or shown of a sender before the metaserver has said that a member of that id
//     and instance is where the connection comes from.
//   - The messages of a stream arrive in their order, each once.
//   - A request of the user gets one update (PrivateUpdate).
//
// Bounds: PrivateBook, limits::kPrivate...; a sender pays Rate::privateSenders for each
// introduction (its address) and Rate::privateMessages for each message (itself and its address). A
// message that is not paid for waits, at most limits::kPrivateWindow of a connection; one more ends
// it.
//
// A Component: links are of no use to it, but it is told what this peer is called. Does no I/O, not
// thread-safe. Cost: O(log n) a message; tick() O(recipients + connections).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "common/base/backoff.h"
#include "common/base/budget.h"
#include "common/base/random.h"
#include "common/wire/private.h"
#include "common/wire/registry.h"
#include "peer/core/component.h"
#include "peer/core/connection_numbers.h"
#include "peer/core/private/private_book.h"

namespace espalier::peer {

// What the user wants to be sent.
struct PrivateWish {
  std::uint64_t request = 0;  // unique, not 0
  PeerId to;
  std::string text;    // of a form that wire::checkPrivateText() accepts
  bool isNew = false;  // to whoever has the id now, also if another instance had it
};

// A question to the metaserver: who has this id?
struct MemberQuestion {
  PeerId id;
  JoinOrder after = kNoOrder;
};

class PrivateMessages final : public Component {
 public:
  struct Options {
    InstanceHash instance;  // this peer's
    PrivateState state = {};
    std::chrono::milliseconds wallClock{};  // since 1970, now
  };

  // `numbers`, `random` and `budget` are borrowed.
  PrivateMessages(wire::Contact self, Options options, ConnectionNumbers& numbers, Random& random,
                  Budget& budget, TimePoint now);

  // What the wall clock shows, since 1970. It may jump: a machine sleeps, and its clock is set.
  void setWallClock(std::chrono::milliseconds sinceEpoch, TimePoint now) {
    wallClock_ = sinceEpoch;
    wallClockAt_ = now;
  }

  // --- what the user wants; each ends in one PrivateUpdate of its request
  void send(PrivateWish wish, TimePoint now, Effects& fx);
  void ignore(std::uint64_t request, const PeerId& id, bool isIgnored, TimePoint now, Effects& fx);
  // Nobody waits for the update any more. What is left of it in the outbox.
  enum class Left { nothing, inMemory, onDisk };
  Left forget(std::uint64_t request);

  // --- questions to the metaserver, which Peer asks. One at a time: the next one that is wanted
  const MemberQuestion* wanted() const;
  void asked(std::uint64_t number);           // with that number
  void notAsked(TimePoint now, Effects& fx);  // the metaserver is out of reach
  // Whether it was an answer to a question of this class.
  bool told(std::uint64_t number, const wire::Topology& answer, TimePoint now, Effects& fx);
  // What was asked is not answered any more.
  void metaserverLost(TimePoint now, Effects& fx);

  // How many members the network has, as this peer sees it. More than before: whoever was away may
  // be back.
  void membersSeen(std::uint64_t members, TimePoint now);

  // --- events of the shell
  bool owns(ConnectionId connection) const;
  void opened(ConnectionId connection, TimePoint now, Effects& fx);
  void failed(ConnectionId connection, const Error& why, TimePoint now, Effects& fx);
  void closed(ConnectionId connection, TimePoint now, Effects& fx);
  // One that was dialled by the other end, from `host`; `address` pays for it.
  void accepted(ConnectionId connection, std::string host, Account address, TimePoint now,
                Effects& fx);
  void received(ConnectionId connection, const wire::PrivateFrame& frame, TimePoint now,
                Effects& fx);
  // The answer to a HostCheck.
  void hostChecked(ConnectionId connection, bool isThere, TimePoint now, Effects& fx);
  // All writes up to the ticket are durable.
  void stored(std::uint64_t ticket, TimePoint now, Effects& fx);

  // --- Component
  void linkUp(const TreeLink&, TimePoint, Effects&) override {}
  void linkDown(ConnectionId, TimePoint, Effects&) override {}
  bool received(ConnectionId, const wire::LinkMessage&, TimePoint, Effects&) override {
    return false;
  }
  void tick(TimePoint now, Effects& fx) override;
  TimePoint deadline() const override;
  void selfChanged(const wire::Contact& self) override { self_ = self.id; }

  const PrivateBook& book() const { return book_; }

 private:
  using Conversation = PrivateBook::Conversation;

  // What a question to the metaserver is for.
  struct ForWish {
    PrivateWish wish;
  };
  struct ForRecipient {
    InstanceHash with;
  };
  struct ForSender {
    ConnectionId connection;
  };
  struct OpenLookUp {
    MemberQuestion what;
    std::variant<ForWish, ForRecipient, ForSender> purpose;
    TimePoint until;
  };

  struct Recipient {
    enum class Phase { idle, lookUp, dialling, introduced, open };
    explicit Recipient() : backoff(limits::kPrivateRetryLeast, limits::kPrivateRetryMost) {}

    Phase phase = Phase::idle;
    Backoff backoff;
    TimePoint retryAt = TimePoint::min();
    ConnectionId connection{};  // from dialling on
    Endpoint endpoint = {};
    bool isLookedUp = false;      // the endpoint was told just now
    std::uint64_t sent = 0;       // the highest number that was sent on this connection
    TimePoint answerBy = kNever;  // of the other end; kNever: nothing is awaited
    TimePoint idleFrom = kNever;  // since when nothing waits for it
  };

  struct Sender {
    enum class Phase { fresh, lookUp, hostCheck, open };

    std::string host;
    Account address;
    Account member = {};
    Phase phase = Phase::fresh;
    wire::PrivateIntroduction introduction = {};
    std::deque<wire::PrivateMessage> held = {};  // not taken yet
    TimePoint takeAt = kNever;                   // the first of them
    TimePoint heard{};
  };

  // Taken, not durable yet.
  struct Taken {
    std::uint64_t ticket = 0;
    InstanceHash from;
    std::uint64_t stream = 0;
    std::uint64_t number = 0;
    PrivateUpdate update;
  };

  // --- lookups
  bool lookUp(PeerId id, std::variant<ForWish, ForRecipient, ForSender> purpose, TimePoint now);
  // The member, if there is one; or why nobody knows.
  void answer(OpenLookUp lookUp, const wire::Contact* member, const std::string& problem,
              TimePoint now, Effects& fx);

  // --- to recipients (private_sending.cpp)
  void wishAnswered(PrivateWish wish, const wire::Contact* member, const std::string& problem,
                    TimePoint now, Effects& fx);
  void keep(Conversation& to, PrivateWish wish, TimePoint now, Effects& fx);
  void recipientFound(const InstanceHash& with, const wire::Contact* member,
                      const std::string& problem, TimePoint now, Effects& fx);
  void attempt(const InstanceHash& with, TimePoint now, Effects& fx);
  void dial(Recipient& recipient, const Endpoint& to, Effects& fx);
  void sendWaiting(Conversation& to, Recipient& recipient, TimePoint now, Effects& fx);
  void delivered(Conversation& to, Recipient& recipient, std::uint64_t upTo, TimePoint now,
                 Effects& fx);
  void answered(const InstanceHash& with, const wire::PrivateFrame& frame, TimePoint now,
                Effects& fx);
  void refusedBy(Conversation& to, const wire::PrivateRefusal& refusal, TimePoint now, Effects& fx);
  void putOff(const InstanceHash& with, const std::string& why, TimePoint now, Effects& fx);
  void tellWaits(Conversation& to, const std::string& why, Effects& fx);
  void giveUpFirst(Conversation& to, const std::string& why, Effects& fx);
  void expire(TimePoint now, Effects& fx);
  void tickRecipients(TimePoint now, Effects& fx);
  std::size_t activeRecipients() const;
  bool makeRoomForRecipient(Effects& fx);
  void updateOf(std::uint64_t request, PrivateUpdate update, Effects& fx);
  void fail(const PrivateWish& wish, Error error, Effects& fx);
  void failFull(const PrivateWish& wish, Effects& fx);

  // --- from senders (private_receiving.cpp)
  void introduced(ConnectionId connection, Sender& sender,
                  const wire::PrivateIntroduction& introduction, TimePoint now, Effects& fx);
  void senderFound(ConnectionId connection, const wire::Contact* member, const std::string& problem,
                   Effects& fx);
  void refuse(ConnectionId connection, wire::PrivateRefusal::Reason reason, std::string why,
              Effects& fx);
  void end(ConnectionId connection, Effects& fx);
  std::optional<ConnectionId> openFrom(const InstanceHash& instance) const;
  void take(ConnectionId connection, Sender& sender, TimePoint now, Effects& fx);
  void takeAll(TimePoint now, Effects& fx);
  void tickSenders(TimePoint now, Effects& fx);

  std::chrono::milliseconds wallClock(TimePoint now) const {
    return wallClock_ + std::chrono::duration_cast<std::chrono::milliseconds>(now - wallClockAt_);
  }

  PeerId self_;
  const InstanceHash instance_;
  std::chrono::milliseconds wallClock_;
  TimePoint wallClockAt_;
  ConnectionNumbers& numbers_;
  Random& random_;
  Budget& budget_;
  PrivateBook book_;

  std::deque<OpenLookUp> wanted_;                // not asked yet
  std::map<std::uint64_t, OpenLookUp> lookUps_;  // by the number of the request
  std::map<InstanceHash, Recipient> recipients_;
  std::map<ConnectionId, InstanceHash> dialled_;
  std::map<ConnectionId, Sender> senders_;
  std::deque<Taken> taken_;
  std::map<std::uint64_t, std::uint64_t> ignores_;  // requests by ticket
  std::set<std::uint64_t> requests_;                // that have got no update
  std::uint64_t members_ = 0;
  TimePoint newcomersAt_ = TimePoint::min();  // when recipients are looked up for newcomers
};

}  // namespace espalier::peer
