// A connection to a SQLite database, and the statements that it runs. Turns SQLite's return codes
// into results.
//
// Errors name the file and say why. Their code is `configuration` if the file is damaged, or is not
// what its program made of it (no database, a table that is missing, a value of another kind). It
// is `io` for everything else: a disk that is full or fails, a file that may not be written, a lock
// of another process.
//
//   auto row = database.prepare("SELECT id FROM user_names WHERE joined = ?");
//   if (!row) return row.error();
//   if (auto found = row->bind(7).step(); found && *found) use(row->text(0));
//
// One thread at a time uses a connection and its statements. A statement must not outlive its
// connection. All functions block on the disk. Close a connection before the same process opens its
// file in another way: to close any descriptor of a file ends the process's locks on it.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "common/base/result.h"

namespace espalier::sqlite {

class Statement {
 public:
  // The next parameter: a text, bytes, a number, none (NULL). What is borrowed lives until step().
  // A failure is that of the next step().
  Statement& bind(std::string_view text);
  Statement& bindBytes(std::string_view bytes);
  Statement& bind(std::int64_t number);
  Statement& bindNone();

  // True: a row is there. False: it is done, and its parameters can be bound again.
  Result<bool> step();
  // Begins it again, whatever has happened.
  void reset();

  // --- of the row that is there; columns count from 0. No bytes for anything but a text or bytes.
  bool isNumber(int column) const;
  std::int64_t number(int column) const;
  std::string text(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { ::sqlite3_finalize(statement); }
  };
  Statement(sqlite3_stmt* statement, const std::string& path)
      : statement_(statement), path_(path) {}
  void note(int code);

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  std::string path_;
  int bound_ = 0;
  int failed_ = SQLITE_OK;  // the first bind that did
};

class Database {
 public:
  // Opens or makes the database at `path`; in memory if there is none.
  static Result<Database> open(const std::string& path);
  static Result<Database> inMemory();

  // Statements without parameters, separated by semicolons. Their rows are dropped.
  Result<void> run(const char* statements);
  Result<Statement> prepare(std::string_view statement);
  // The statement with that text, prepared when it is wanted first, and kept.
  Result<Statement*> kept(std::string_view statement);
  // Runs such a statement, whose rows are not wanted. Parameters: texts, numbers, std::optional of
  // them (without a value NULL).
  template <typename... Values>
  Result<void> change(std::string_view statement, const Values&... values) {
    const auto prepared = kept(statement);
    if (!prepared) return prepared.error();
    (bindNext(**prepared, values), ...);
    const auto stepped = (*prepared)->step();
    if (!stepped) return stepped.error();
    if (*stepped) (*prepared)->reset();
    return {};
  }
  // The first column of the first row: "PRAGMA user_version". Errors as above if it is none.
  Result<std::int64_t> number(std::string_view query);
  Result<std::string> text(std::string_view query);
  // The first statement that fails undoes all of them; so does a `change` that fails.
  template <typename Change>
  Result<void> inTransaction(Change&& change) {
    if (auto begun = run("BEGIN IMMEDIATE"); !begun) return begun;
    auto done = change();
    if (done) done = run("COMMIT");
    if (!done) (void)run("ROLLBACK");  // which fails if SQLite has done so already
    return done;
  }

  // For a database with a WAL, before each transaction. A commit folds the WAL in as far as readers
  // let it. Once it has more than `most` bytes this fails (`io`) until they do.
  Result<void> boundLog(std::uint64_t most);
  // Whether the file was removed or replaced. What is written now is lost.
  bool hasMoved() const;
  // The content of the database, as its file would have it.
  Result<std::string> bytes() const;

 private:
  struct Close {
    void operator()(sqlite3* connection) const { ::sqlite3_close_v2(connection); }
  };
  Database(sqlite3* connection, std::string path)
      : connection_(connection), path_(std::move(path)) {}
  template <typename Value>
  static void bindNext(Statement& statement, const Value& value) {
    if constexpr (std::is_integral_v<Value>) {
      statement.bind(static_cast<std::int64_t>(value));
    } else {
      statement.bind(std::string_view(value));
    }
  }
  template <typename Value>
  static void bindNext(Statement& statement, const std::optional<Value>& value) {
    if (value) return bindNext(statement, *value);
    statement.bindNone();
  }
  static Result<Database> opened(const std::string& name, const std::string& path, int flags);

  std::unique_ptr<sqlite3, Close> connection_;
  std::string path_;
  std::map<std::string, Statement, std::less<>> kept_;  // by text; they end before the connection
};

}  // namespace espalier::sqlite
