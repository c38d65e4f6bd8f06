// What private messages ask the shell to put on the disk, what they tell it, and the state that an
// earlier process has left. Plain values, fields of Effects (peer/core/effects.h).
//
// A message on the disk has a position, unique and rising, which the core gives.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace espalier::peer {

using PrivatePosition = std::uint64_t;

// A message of this peer's user: it waits in the outbox. Its conversation is made if need be.
struct KeepSent {
  PrivatePosition position = 0;
  InstanceHash to;
  PeerId id;
  std::uint64_t stream = 0;
  std::uint64_t number = 0;  // the highest of the stream from now on
  std::chrono::milliseconds at{};
  std::string text;
  PeerId writtenTo = {};  // the id that the user has named
};
// It does not wait any more.
struct EndSent {
  PrivatePosition position = 0;
  bool isDelivered = false;  // else given up
};
// The messages that wait for this recipient have other numbers, in another stream.
struct RenumberSent {
  InstanceHash to;
  std::uint64_t stream = 0;
  std::vector<std::pair<PrivatePosition, std::uint64_t>> numbers;
};
struct KeepReceived {
  PrivatePosition position = 0;
  InstanceHash from;
  PeerId id;
  std::uint64_t stream = 0;
  std::uint64_t number = 0;  // the highest of the stream from now on
  std::chrono::milliseconds at{};
  std::string text;
};
// A message that makes room for newer ones.
struct DropMessage {
  PrivatePosition position = 0;
};
// A conversation and all its messages.
struct DropConversation {
  InstanceHash with;
};
struct Ignored {
  PeerId id;
  InstanceHash instance = {};  // zero: not known

  bool operator==(const Ignored&) const = default;
};
struct ChangeIgnored {
  Ignored who;
  bool isIgnored = false;
};

// Written in the order of their tickets. PrivateMessages::stored() is called when all up to a
// ticket are durable.
struct PrivateWrite {
  std::uint64_t ticket = 0;
  std::variant<KeepSent, EndSent, RenumberSent, KeepReceived, DropMessage, DropConversation,
               ChangeIgnored>
      what;
};

// What became of a request of this peer's user, or a message that has arrived.
struct PrivateUpdate {
  enum class Kind {
    waits,      // durable in the outbox; text: why it was not delivered yet
    delivered,  // durable at the recipient
    refused,    // given up; text: why
    failed,     // nothing was kept; error
    ignored,    // ChangeIgnored is durable
    received,   // durable here
  };
  Kind kind = Kind::failed;
  std::uint64_t request = 0;  // 0: of `received`
  PeerId peer = {};
  std::string text = {};  // of `received` the message, as it came
  Error error = {};
  std::uint64_t waiting = 0;       // messages for that peer in the outbox
  std::chrono::milliseconds at{};  // of `received`: when it was written
  bool isOtherThanBefore = false;  // of `received`: another instance had this id
};

// Whether the source host of a connection is one of the addresses of a host.
struct HostCheck {
  ConnectionId connection{};
  std::string host;
};

// A member was let in on a connection: from now on it pays for it.
struct PrivateAdmission {
  ConnectionId connection{};
  PeerId member;
};

// What is on the disk at the start.
struct PrivateState {
  struct Message {
    PrivatePosition position = 0;
    std::uint32_t textBytes = 0;
  };
  struct Waiting {
    PrivatePosition position = 0;
    std::uint64_t number = 0;
    std::chrono::milliseconds at{};
    std::string text;
  };
  struct Conversation {
    InstanceHash with;
    PeerId id;
    std::uint64_t stream = 0;  // of this peer's messages; 0: it has sent none
    std::uint64_t sent = 0;    // the highest number of that stream
    std::uint64_t theirStream = 0;
    std::uint64_t received = 0;
    std::vector<Message> messages;  // by position, those that wait included
    std::vector<Waiting> waiting;   // by number
    PeerId writtenTo = {};          // empty: this peer's user has not written to it
  };
  std::vector<Conversation> conversations;  // the one that was used last comes last
  std::vector<Ignored> ignored;
};

}  // namespace espalier::peer
