#include "metaserver/storage/promises.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/random.h"
#include "common/base/state_version.h"
#include "common/base/text.h"

namespace espalier::metaserver::storage {
namespace {

constexpr unsigned kVersion = 1;

constexpr const char* kSchema = R"(
  CREATE TABLE promises (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL,
    epoch_counter INTEGER NOT NULL,
    epoch_number INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    network BLOB NOT NULL
  );
  PRAGMA user_version = 1;
)";

Error damaged(const std::string& path, std::string_view why) {
  return {ErrorCode::configuration,
          fmt::format("{}: the file is damaged ({}): put a copy of it back, or move it away, and "
                      "this metaserver takes part as a new one",
                      escaped(path), why)};
}

// The error of the database with what to do about it.
Error explained(const std::string& path, const Error& error) {
  const std::string prefix = escaped(path) + ": ";
  const std::string why =
      error.message.starts_with(prefix) ? error.message.substr(prefix.size()) : error.message;
  if (error.code == ErrorCode::configuration) return damaged(path, why);
  return {error.code,
          fmt::format("{}{}: this metaserver keeps there what it has promised; make sure that the "
                      "disk has room, that file and folder can be written, and that no other "
                      "program has the file open",
                      prefix, why)};
}

Result<void> put(sqlite::Database& database, const Promises& promises) {
  auto row = database.prepare("INSERT OR REPLACE INTO promises VALUES (1, ?, ?, ?, ?, ?)");
  if (!row) return row.error();
  const auto done = row->bind(number(promises.number))
                        .bind(promises.epoch.counter)
                        .bind(number(promises.epoch.number))
                        .bind(static_cast<std::int64_t>(number(promises.reserved)))
                        .bindBytes(promises.network.view())
                        .step();
  if (!done) return done.error();
  return {};
}

// Promises that were never made: of a journal beside a file that is gone.
Result<void> removeRemains(const std::string& path) {
  const std::string journal = path + "-journal";
  if (::unlink(journal.c_str()) == 0 || errno == ENOENT) return {};
  return systemError("cannot remove " + escaped(journal), errno);
}

}  // namespace

ServerNumber drawServerNumber() {
  std::array<std::uint8_t, 2> bytes{};
  while (bytes[0] == 0 && bytes[1] == 0) fillFromKernel(bytes);
  return ServerNumber{static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1])};
}

Result<Promises> PromisesDatabase::load() {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) != 0) {
    if (errno != ENOENT) return systemError("cannot read " + escaped(path_), errno);
    Promises first;
    first.number = drawServerNumber();
    if (const auto made = make(first); !made) return explained(path_, made.error());
    return first;
  }
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::configuration,
                 fmt::format("{} is {}: move it away", escaped(path_), kindOfFile(status.st_mode))};
  }
  if (status.st_size == 0) return damaged(path_, "it is empty");
  if ((status.st_mode & 07777) != kPrivate && ::chmod(path_.c_str(), kPrivate) != 0) {
    return systemError("cannot make " + escaped(path_) + " private", errno);
  }
  if (const auto opened = open(); !opened) return explained(path_, opened.error());
  auto promises = read();
  if (promises) {
    if (const auto claimed = claim(); !claimed) promises = explained(path_, claimed.error());
  }
  if (!promises) database_.reset();
  return promises;
}

Result<void> PromisesDatabase::save(const Promises& promises) {
  if (!database_ || database_->hasMoved()) {
    if (const auto made = make(promises); !made) return explained(path_, made.error());
    return {};
  }
  const auto saved = database_->inTransaction([&] { return put(*database_, promises); });
  if (!saved) return explained(path_, saved.error());
  return {};
}

// Writes a new file under the name, and opens it.
Result<void> PromisesDatabase::make(const Promises& promises) {
  database_.reset();
  auto fresh = sqlite::Database::inMemory();
  if (!fresh) return fresh.error();
  if (const auto made = fresh->run(kSchema); !made) return made;
  if (const auto done = put(*fresh, promises); !done) return done;
  const auto bytes = fresh->bytes();
  if (!bytes) return bytes.error();
  if (const auto removed = removeRemains(path_); !removed) return removed;
  const auto written = replaceFile(path_, *bytes, Durability::durable, kPrivate);
  if (!written) return written;
  if (const auto opened = open(); !opened) return opened;
  return claim();
}

Result<void> PromisesDatabase::open() {
  auto opened = sqlite::Database::open(path_);
  if (!opened) return opened.error();
  const auto set = opened->run("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL");
  if (!set) return set;
  database_ = std::move(*opened);
  return {};
}

// Not before the version is known: this may change the file. Takes the lock for good.
Result<void> PromisesDatabase::claim() {
  const auto mode = database_->text("PRAGMA journal_mode = TRUNCATE");
  if (!mode) return mode.error();
  if (*mode == "truncate") return database_->run("BEGIN EXCLUSIVE; COMMIT");
  return Error{ErrorCode::io, fmt::format("{}: the journal's mode is {}", escaped(path_), *mode)};
}

Result<Promises> PromisesDatabase::read() {
  const auto version = database_->number("PRAGMA user_version");
  if (!version) return explained(path_, version.error());
  const auto found = static_cast<unsigned>(*version);  // a negative one is newer than all
  if (const auto known = checkStateVersion(path_, found, kVersion); !known) return known.error();
  if (found == 0) return damaged(path_, "it is another database");
  const auto check = database_->text("PRAGMA integrity_check(1)");
  if (!check) return explained(path_, check.error());
  if (*check != "ok") return damaged(path_, escaped(*check));

  auto row = database_->prepare(
      "SELECT number, epoch_counter, epoch_number, reserved, network FROM promises");
  if (!row) return explained(path_, row.error());
  const auto isThere = row->step();
  if (!isThere) return explained(path_, isThere.error());
  if (!*isThere) return damaged(path_, "it holds nothing");
  const auto isWithin = [&](int column, std::int64_t least, std::int64_t most) {
    return row->isNumber(column) && row->number(column) >= least && row->number(column) <= most;
  };
  const auto network = wire::NetworkId::fromRaw(row->text(4));
  if (!isWithin(0, 1, 0xffff) || !isWithin(1, 0, limits::kEpochCounter) ||
      !isWithin(2, 0, 0xffff) || !isWithin(3, 0, limits::kJoinOrder) || !network) {
    return damaged(path_, "a value is out of its range");
  }
  return Promises{ServerNumber{static_cast<std::uint16_t>(row->number(0))},
                  {static_cast<std::uint32_t>(row->number(1)),
                   ServerNumber{static_cast<std::uint16_t>(row->number(2))}},
                  JoinOrder{static_cast<std::uint64_t>(row->number(3))},
                  *network};
}

}  // namespace espalier::metaserver::storage
