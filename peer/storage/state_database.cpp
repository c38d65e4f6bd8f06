#include "peer/storage/state_database.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/base/file.h"
#include "common/base/state_version.h"
#include "common/base/text.h"

namespace espalier::peer::storage {
namespace {

constexpr const char* kModes = R"(
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA journal_size_limit = 4194304;
)";

Error explainedAs(const std::string& path, const char* content, const Error& error) {
  const std::string prefix = escaped(path) + ": ";
  const std::string why =
      error.message.starts_with(prefix) ? error.message.substr(prefix.size()) : error.message;
  if (error.code == ErrorCode::configuration) {
    return {error.code,
            fmt::format("{}the file is damaged ({}): put a copy of it back, or move it away; this "
                        "peer then begins without its {}",
                        prefix, why, content)};
  }
  return {error.code, fmt::format("{}{}: this peer keeps its {} there; make sure "
                                  "that the disk has room, that file and folder can be written, "
                                  "and that no other program has locked the file",
                                  prefix, why, content)};
}

// The log of a file that was removed must not be taken for one of the new file.
Result<void> removeRemains(const std::string& path) {
  for (const char* suffix : {"-wal", "-shm", "-journal"}) {
    const std::string remains = path + suffix;
    if (::unlink(remains.c_str()) != 0 && errno != ENOENT) {
      return systemError("cannot remove " + escaped(remains), errno);
    }
  }
  return {};
}

Result<void> make(const std::string& path, const char* schema) {
  if (auto removed = removeRemains(path); !removed) return removed;
  auto empty = sqlite::Database::inMemory();
  if (!empty) return empty.error();
  if (auto made = empty->run(schema); !made) return made;
  const auto bytes = empty->bytes();
  if (!bytes) return bytes.error();
  return replaceFile(path, *bytes, Durability::durable, kPrivate);
}

}  // namespace

Result<StateDatabase> StateDatabase::open(const std::string& path, const Form& form) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) return systemError("cannot read " + escaped(path), errno);
    if (const auto made = make(path, form.schema); !made) {
      return explainedAs(path, form.content, made.error());
    }
  } else if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::configuration,
                 fmt::format("{} is {}: move it away", escaped(path), kindOfFile(status.st_mode))};
  } else if ((status.st_mode & 07777) != kPrivate && ::chmod(path.c_str(), kPrivate) != 0) {
    return systemError("cannot make " + escaped(path) + " private", errno);
  }
  auto database = sqlite::Database::open(path);
  if (!database) return explainedAs(path, form.content, database.error());
  StateDatabase opened(path, form, std::move(*database));
  const auto version = opened.database_.number("PRAGMA user_version");
  if (!version) return opened.explained(version.error());
  if (*version > form.version) {
    const auto known = checkStateVersion(path, static_cast<unsigned>(*version), form.version);
    if (!known) return known.error();
  }
  if (*version != form.version) {
    return opened.explained(opened.strange(fmt::format("it is no database of {}", form.content)));
  }
  if (const auto prepared = opened.prepare(); !prepared) {
    return opened.explained(prepared.error());
  }
  return opened;
}

Error StateDatabase::explained(const Error& error) const {
  return explainedAs(path_, form_.content, error);
}

Error StateDatabase::strange(std::string_view what) const {
  return {ErrorCode::configuration, fmt::format("{}: {}", escaped(path_), what)};
}

Result<void> StateDatabase::prepare() {
  return database_.run(kModes);
}

// The file was removed: this connection still has its content.
Result<void> StateDatabase::restore() {
  if (content_.empty()) {
    auto bytes = database_.bytes();
    if (!bytes) return bytes.error();
    content_ = *std::move(bytes);
    // Closed first: it removes the log by its name, which is that of the next one.
    auto none = sqlite::Database::inMemory();
    if (!none) return none.error();
    database_ = std::move(*none);
  }
  if (auto removed = removeRemains(path_); !removed) return removed;
  if (auto written = replaceFile(path_, content_, Durability::durable, kPrivate); !written) {
    return written;
  }
  auto again = sqlite::Database::open(path_);
  if (!again) return again.error();
  database_ = std::move(*again);
  content_.clear();
  return prepare();
}

}  // namespace espalier::peer::storage
