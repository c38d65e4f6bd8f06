// The database of a peer's private messages, STATE/private.db (SQLite, mode 0600):
//
//   conversations  instance (its hash in hexadecimal digits), id (that it had last), stream, sent
//                  (the numbers of this peer's messages), their_stream, received, used
//   messages       position, instance, is_sent (0 or 1), number, at (milliseconds since 1970),
//                  state (waiting, delivered, given up, received), text
//   ignored        id, instance (empty: not known)
//
// A StateDatabase (state_database.h): what is durable, and the errors.
//
// One thread at a time. All functions block on the disk. Used by PrivateDatabase.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "peer/core/private/private_writes.h"
#include "peer/storage/state_database.h"

namespace espalier::peer::storage {

// A message of a conversation, for people.
struct KeptMessage {
  bool isSent = false;
  std::uint64_t number = 0;
  std::chrono::milliseconds at{};
  std::string state;
  std::string text;
};

class PrivateTables {
 public:
  static Result<PrivateTables> open(const std::string& path);

  Result<PrivateState> load();
  // In one transaction.
  Result<void> write(std::span<const PrivateWrite> batch);
  // The last messages of a conversation, the oldest first.
  Result<std::vector<KeptMessage>> conversation(const InstanceHash& with, std::size_t most);

 private:
  explicit PrivateTables(StateDatabase database) : database_(std::move(database)) {}

  Result<void> write(const KeepSent& kept);
  Result<void> write(const EndSent& ended);
  Result<void> write(const RenumberSent& renumbered);
  Result<void> write(const KeepReceived& kept);
  Result<void> write(const DropMessage& dropped);
  Result<void> write(const DropConversation& dropped);
  Result<void> write(const ChangeIgnored& changed);

  StateDatabase database_;
};

}  // namespace espalier::peer::storage
