// A database in a peer's state folder (SQLite, mode 0600), which is durable and appears whole.
//
// The log of the journal mode WAL is synced at each transaction (synchronous=FULL), so a
// transaction that returns is durable, and other programs can read meanwhile. The database is made
// in memory and appears whole under its name. One that was removed while it is open is written
// again.
//
// Errors of open() and explained() name the file and say what to do; the file stays as it is:
// `configuration` where it is damaged or a newer version, else `io`. An error of write(): nothing
// of the batch was written; write the same batch again.
//
// One thread at a time. All functions block on the disk.
#pragma once

#include <string>
#include <string_view>

#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/sqlite/database.h"

namespace espalier::peer::storage {

class StateDatabase {
 public:
  // What is in the file. The texts are literals.
  struct Form {
    const char* schema = "";  // its last statement sets user_version to `version`
    unsigned version = 1;
    const char* content = "";  // "private messages": for errors
  };

  static Result<StateDatabase> open(const std::string& path, const Form& form);

  sqlite::Database& connection() { return database_; }
  // One transaction, once the file is there.
  template <typename Change>
  Result<void> write(Change&& change) {
    if (!content_.empty() || database_.hasMoved()) {
      if (auto restored = restore(); !restored) return restored;
    }
    if (const auto bounded = database_.boundLog(limits::kDatabaseLogBytes); !bounded) {
      return bounded;
    }
    return database_.inTransaction(std::forward<Change>(change));
  }
  Error explained(const Error& error) const;
  // A row that cannot be what its program wrote.
  Error strange(std::string_view what) const;

 private:
  StateDatabase(std::string path, const Form& form, sqlite::Database database)
      : path_(std::move(path)), form_(form), database_(std::move(database)) {}

  Result<void> prepare();
  Result<void> restore();

  std::string path_;
  Form form_;
  sqlite::Database database_;
  std::string content_;  // of a file that was removed, until it is written again
};

}  // namespace espalier::peer::storage
