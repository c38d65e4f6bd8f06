// What a metaserver of a cluster has promised, in STATE/promises.db: a SQLite database with one
// table of one row, mode 0600. A promise is durable before it is used:
//
//   number    drawn at the first start; named in its epochs
//   epoch     the highest that it has seen: its next one is above it
//   reserved  no order of joining above this one was given: a restart goes on behind it
//   network   the id of the network that it is part of
//
//   no file --load(): draws a number--> durable --save()--> durable --save()--> …
//
// The journal's mode is TRUNCATE, with synchronous=FULL: a transaction ends with a sync of the
// journal, and the file alone holds everything. (DELETE does not sync the folder under FULL, so a
// power failure may undo the last transaction. WAL leaves the last promises in a second file, which
// a user who copies the database may forget.) The database is made in memory and appears whole
// under its name.
//
// Errors of load() name the file and say what to do; the file stays as it is. `configuration`: a
// newer version, or damaged. `io`: the disk, or another process that has opened it. If the file is
// lost the metaserver takes part as another one, under a new number, so no order is given twice.
//
// One connection, locked as long as it is open: other processes can read the file only after that.
// One thread at a time. Both functions block on the disk; a save syncs three or four times. Owned
// by the shell.
#pragma once

#include <optional>
#include <string>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/sqlite/database.h"
#include "common/wire/registry.h"

namespace espalier::metaserver::storage {

struct Promises {
  ServerNumber number{};          // not kNoServer
  Epoch epoch;                    // the counter is at most limits::kEpochCounter
  JoinOrder reserved = kNoOrder;  // kNoOrder: none
  wire::NetworkId network;        // zero: none yet

  bool operator==(const Promises&) const = default;
};

// A number for a metaserver that has none, or whose number another one has. Not kNoServer.
ServerNumber drawServerNumber();

class PromisesDatabase {
 public:
  // Opens nothing yet.
  explicit PromisesDatabase(std::string path) : path_(std::move(path)) {}

  // Call it once, first. Without a file it makes one, with a number that is drawn.
  Result<Promises> load();
  // Durable when it returns. After an error the promises of before hold, and those of this call
  // must not be used. Makes the file again if it was removed.
  Result<void> save(const Promises& promises);

 private:
  Result<void> make(const Promises& promises);
  Result<void> open();
  Result<void> claim();
  Result<Promises> read();

  const std::string path_;
  std::optional<sqlite::Database> database_;
};

}  // namespace espalier::metaserver::storage
