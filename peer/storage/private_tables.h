// The database of a peer's private messages, STATE/private.db (SQLite, mode 0600):
//
//   conversations  instance (its hash in hexadecimal digits), id (that it had last), stream, sent
//                  (the numbers of this peer's messages), their_stream, received, used
//   messages       position, instance, is_sent (0 or 1), number, at (milliseconds since 1970),
//                  state (waiting, delivered, given up, received), text
//   ignored        id, instance (empty: not known)
//
// The log of the journal mode WAL is synced at each transaction (synchronous=FULL), so a write that
// returns is durable, and other programs can read meanwhile. The database is made in memory and
// appears whole under its name. One that was removed while it is open is written again.
//
// Errors of open() name the file and say what to do; the file stays as it is: `configuration` where
// it is damaged or a newer version, else `io`. An error of write(): nothing of the batch was
// written; write the same batch again.
//
// One thread at a time. All functions block on the disk. Used by PrivateDatabase.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/sqlite/database.h"
#include "peer/core/private/private_writes.h"

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
  PrivateTables(std::string path, sqlite::Database database)
      : path_(std::move(path)), database_(std::move(database)) {}

  Result<void> prepare();
  Result<void> restore();

  Result<void> write(const KeepSent& kept);
  Result<void> write(const EndSent& ended);
  Result<void> write(const RenumberSent& renumbered);
  Result<void> write(const KeepReceived& kept);
  Result<void> write(const DropMessage& dropped);
  Result<void> write(const DropConversation& dropped);
  Result<void> write(const ChangeIgnored& changed);

  std::string path_;
  sqlite::Database database_;
  std::string content_;  // of a file that was removed, until it is written again
};

}  // namespace espalier::peer::storage
