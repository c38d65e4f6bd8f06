// The messages of a connection of purpose `privates`: private messages from the peer that dialled
// to the one that listens. docs/protocol.md describes each, private_codec.h encodes it. Values
// without protobuf, so that cores can use them.
//
//   sender                                      recipient
//     |-- PrivateIntroduction ------------------->|   asks its metaserver who the sender is
//     |<-------------------------- PrivateReady --|   or PrivateRefusal, and the end
//     |-- PrivateMessage 7, 8 ------------------->|   writes them to its disk
//     |<----------------------- PrivateStored 8 --|
//
// The numbers of a stream rise. A message is acknowledged when it is durable; one whose number is
// not above the highest that the recipient has taken is a repetition.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>

#include "common/base/ids.h"

namespace espalier::wire {

// The first message of a connection.
struct PrivateIntroduction {
  PeerId from;
  InstanceHash instance;     // the sender's, not zero
  InstanceHash to;           // the recipient's, not zero
  std::uint64_t stream = 0;  // random, not 0: another one begins with other numbers

  bool operator==(const PrivateIntroduction&) const = default;
};

// The recipient takes messages on this connection.
struct PrivateReady {
  std::uint64_t received = 0;  // the highest number of the stream that is durable; 0: none

  bool operator==(const PrivateReady&) const = default;
};

struct PrivateMessage {
  std::uint64_t number = 0;        // 1 to limits::kSequenceNumbers
  std::chrono::milliseconds at{};  // when it was written, since 1970
  std::string text;                // UTF-8, 1 to limits::kPrivateTextBytes; otherwise anything

  bool operator==(const PrivateMessage&) const = default;
};

// All messages of the stream up to this number are durable at the recipient.
struct PrivateStored {
  std::uint64_t number = 0;

  bool operator==(const PrivateStored&) const = default;
};

// The recipient takes nothing. The last message of a connection.
struct PrivateRefusal {
  enum class Reason {
    otherInstance = 1,  // the recipient is not the one that is meant
    turnedAway = 2,     // its user ignores the sender: what waits is given up
    notProven = 3,      // its metaserver does not say that the sender is who it says
    notNow = 4,         // it may be asked again later; also any reason that is not known
  };
  Reason reason = Reason::notNow;
  std::string message;  // for a person

  bool operator==(const PrivateRefusal&) const = default;
};

using PrivateFrame =
    std::variant<PrivateIntroduction, PrivateReady, PrivateMessage, PrivateStored, PrivateRefusal>;

}  // namespace espalier::wire
