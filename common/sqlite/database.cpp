#include "common/sqlite/database.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cstring>
#include <optional>
#include <utility>

#include "common/base/text.h"

namespace espalier::sqlite {
namespace {

constexpr int kLockPatienceMs = 100;  // tuning: another process's transaction

bool isDamage(int code) {
  switch (code & 0xff) {  // without its extension
    case SQLITE_ERROR:    // a table or column that is missing
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
      return true;
    default:
      return false;
  }
}

// Of the connection's last call, which returned `code`.
Error failure(sqlite3* connection, const std::string& path, int code) {
  const bool hasText = connection != nullptr && ::sqlite3_errcode(connection) == code;
  std::string why = hasText ? ::sqlite3_errmsg(connection) : ::sqlite3_errstr(code);
  const int system = connection != nullptr ? ::sqlite3_system_errno(connection) : 0;
  const bool isSystems = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;
  if (system != 0 && isSystems) why += fmt::format(" ({})", std::strerror(system));
  return {isDamage(code) ? ErrorCode::configuration : ErrorCode::io,
          fmt::format("{}: {}", escaped(path), why)};
}

}  // namespace

// --- statements

void Statement::note(int code) {
  if (failed_ == SQLITE_OK) failed_ = code;
}

Statement& Statement::bind(std::string_view text) {
  const char* const bytes = text.data() == nullptr ? "" : text.data();  // null would be NULL
  note(::sqlite3_bind_text64(statement_.get(), ++bound_, bytes, text.size(), SQLITE_STATIC,
                             SQLITE_UTF8));
  return *this;
}

Statement& Statement::bindBytes(std::string_view bytes) {
  note(
      ::sqlite3_bind_blob64(statement_.get(), ++bound_, bytes.data(), bytes.size(), SQLITE_STATIC));
  return *this;
}

Statement& Statement::bind(std::int64_t number) {
  note(::sqlite3_bind_int64(statement_.get(), ++bound_, number));
  return *this;
}

Statement& Statement::bindNone() {
  note(::sqlite3_bind_null(statement_.get(), ++bound_));
  return *this;
}

Result<bool> Statement::step() {
  const int code = failed_ == SQLITE_OK ? ::sqlite3_step(statement_.get()) : failed_;
  if (code == SQLITE_ROW) return true;
  std::optional<Error> error;
  if (code != SQLITE_DONE) {
    error = failure(::sqlite3_db_handle(statement_.get()), path_, code);
  }
  reset();
  if (error) return *std::move(error);
  return false;
}

void Statement::reset() {
  ::sqlite3_reset(statement_.get());
  ::sqlite3_clear_bindings(statement_.get());
  bound_ = 0;
  failed_ = SQLITE_OK;
}

bool Statement::isNumber(int column) const {
  return ::sqlite3_column_type(statement_.get(), column) == SQLITE_INTEGER;
}

std::int64_t Statement::number(int column) const {
  return ::sqlite3_column_int64(statement_.get(), column);
}

std::string Statement::text(int column) const {
  const int type = ::sqlite3_column_type(statement_.get(), column);
  if (type != SQLITE_TEXT && type != SQLITE_BLOB) return {};
  const auto* bytes = static_cast<const char*>(::sqlite3_column_blob(statement_.get(), column));
  const auto size = static_cast<std::size_t>(::sqlite3_column_bytes(statement_.get(), column));
  return bytes == nullptr ? std::string() : std::string(bytes, size);
}

// --- connections

Result<Database> Database::opened(const std::string& name, const std::string& path, int flags) {
  // Nobody asks how much memory SQLite has, and counting it takes a mutex for each allocation.
  [[maybe_unused]] static const int counted = ::sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  sqlite3* connection = nullptr;
  const int code = ::sqlite3_open_v2(
      name.c_str(), &connection,
      flags | SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  Database database(connection, path);
  if (code != SQLITE_OK) return failure(connection, path, code);
  ::sqlite3_busy_timeout(connection, kLockPatienceMs);
  return database;
}

Result<Database> Database::open(const std::string& path) {
  // Debian's SQLite takes "file:x" for a URI.
  const std::string name = path.starts_with('/') ? path : "./" + path;
  return opened(name, path, SQLITE_OPEN_CREATE);
}

Result<Database> Database::inMemory() {
  return opened(":memory:", "a database in memory", SQLITE_OPEN_MEMORY);
}

Result<void> Database::run(const char* statements) {
  const int code = ::sqlite3_exec(connection_.get(), statements, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return failure(connection_.get(), path_, code);
  return {};
}

Result<Statement> Database::prepare(std::string_view statement) {
  sqlite3_stmt* prepared = nullptr;
  const int code = ::sqlite3_prepare_v2(connection_.get(), statement.data(),
                                        static_cast<int>(statement.size()), &prepared, nullptr);
  if (code != SQLITE_OK) return failure(connection_.get(), path_, code);
  return Statement(prepared, path_);
}

Result<Statement*> Database::kept(std::string_view statement) {
  const auto there = kept_.find(statement);
  if (there != kept_.end()) return &there->second;
  auto prepared = prepare(statement);
  if (!prepared) return prepared.error();
  return &kept_.emplace(statement, *std::move(prepared)).first->second;
}

Result<std::int64_t> Database::number(std::string_view query) {
  auto statement = prepare(query);
  if (!statement) return statement.error();
  const auto isThere = statement->step();
  if (!isThere) return isThere.error();
  if (!*isThere || !statement->isNumber(0)) {
    return Error{ErrorCode::configuration,
                 fmt::format("{}: no number is there for {}", escaped(path_), query)};
  }
  return statement->number(0);
}

Result<std::string> Database::text(std::string_view query) {
  auto statement = prepare(query);
  if (!statement) return statement.error();
  const auto isThere = statement->step();
  if (!isThere) return isThere.error();
  if (!*isThere) {
    return Error{ErrorCode::configuration,
                 fmt::format("{}: no text is there for {}", escaped(path_), query)};
  }
  return statement->text(0);
}

Result<void> Database::boundLog(std::uint64_t most) {
  struct stat log {};
  const std::string path = path_ + "-wal";
  if (::stat(path.c_str(), &log) != 0) return {};
  if (static_cast<std::uint64_t>(log.st_size) <= most) return {};
  const auto isBusy = number("PRAGMA wal_checkpoint(TRUNCATE)");
  if (!isBusy) return isBusy.error();
  if (*isBusy == 0) return {};
  return Error{ErrorCode::io,
               fmt::format("{}: a program that reads it does not end", escaped(path_))};
}

bool Database::hasMoved() const {
  int moved = 0;
  const int code =
      ::sqlite3_file_control(connection_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  return code == SQLITE_OK && moved != 0;
}

Result<std::string> Database::bytes() const {
  sqlite3_int64 size = 0;
  const std::unique_ptr<unsigned char, decltype(&::sqlite3_free)> bytes(
      ::sqlite3_serialize(connection_.get(), "main", &size, 0), &::sqlite3_free);
  if (!bytes) return failure(nullptr, path_, SQLITE_NOMEM);
  return std::string(reinterpret_cast<const char*>(bytes.get()), static_cast<std::size_t>(size));
}

}  // namespace espalier::sqlite
