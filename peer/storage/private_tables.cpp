#include "peer/storage/private_tables.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/state_version.h"
#include "common/base/text.h"
#include "common/wire/private_codec.h"

namespace espalier::peer::storage {
namespace {

constexpr unsigned kVersion = 1;

constexpr const char* kSchema = R"(
  CREATE TABLE conversations (
    instance TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    stream INTEGER NOT NULL DEFAULT 0,
    sent INTEGER NOT NULL DEFAULT 0,
    their_stream INTEGER NOT NULL DEFAULT 0,
    received INTEGER NOT NULL DEFAULT 0,
    used INTEGER NOT NULL DEFAULT 0,
    written_to TEXT NOT NULL DEFAULT ''
  );
  CREATE TABLE messages (
    position INTEGER PRIMARY KEY,
    instance TEXT NOT NULL,
    is_sent INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    state TEXT NOT NULL,
    text TEXT NOT NULL
  );
  CREATE INDEX messages_by_instance ON messages (instance, position);
  CREATE TABLE ignored (
    id TEXT NOT NULL,
    instance TEXT NOT NULL,
    PRIMARY KEY (id, instance)
  );
  PRAGMA user_version = 1;
)";

constexpr const char* kModes = R"(
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA journal_size_limit = 4194304;
)";

std::string hexOf(const InstanceHash& instance) {
  return instance.isZero() ? std::string() : toHex(instance.view());
}

std::uint64_t unsignedOf(std::int64_t number) {
  return static_cast<std::uint64_t>(number);
}

Error explained(const std::string& path, const Error& error) {
  const std::string prefix = escaped(path) + ": ";
  const std::string why =
      error.message.starts_with(prefix) ? error.message.substr(prefix.size()) : error.message;
  if (error.code == ErrorCode::configuration) {
    return {error.code,
            fmt::format("{}the file is damaged ({}): put a copy of it back, or move it away; this "
                        "peer then begins without its private messages",
                        prefix, why)};
  }
  return {error.code, fmt::format("{}{}: this peer keeps its private messages there; make sure "
                                  "that the disk has room, that file and folder can be written, "
                                  "and that no other program has locked the file",
                                  prefix, why)};
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

Result<void> make(const std::string& path) {
  if (auto removed = removeRemains(path); !removed) return removed;
  auto empty = sqlite::Database::inMemory();
  if (!empty) return empty.error();
  if (auto made = empty->run(kSchema); !made) return made;
  const auto bytes = empty->bytes();
  if (!bytes) return bytes.error();
  return replaceFile(path, *bytes, Durability::durable, kPrivate);
}

Error strange(const std::string& path, std::string_view what) {
  return {ErrorCode::configuration, fmt::format("{}: {}", escaped(path), what)};
}

}  // namespace

Result<PrivateTables> PrivateTables::open(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) return systemError("cannot read " + escaped(path), errno);
    if (const auto made = make(path); !made) return explained(path, made.error());
  } else if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::configuration,
                 fmt::format("{} is {}: move it away", escaped(path), kindOfFile(status.st_mode))};
  } else if ((status.st_mode & 07777) != kPrivate && ::chmod(path.c_str(), kPrivate) != 0) {
    return systemError("cannot make " + escaped(path) + " private", errno);
  }
  auto database = sqlite::Database::open(path);
  if (!database) return explained(path, database.error());
  PrivateTables tables(path, std::move(*database));
  const auto version = tables.database_.number("PRAGMA user_version");
  if (!version) return explained(path, version.error());
  if (*version > kVersion) {
    if (auto known = checkStateVersion(path, static_cast<unsigned>(*version), kVersion); !known) {
      return known.error();
    }
  }
  if (*version != kVersion) {
    return explained(path, strange(path, "it is no database of private messages"));
  }
  if (const auto prepared = tables.prepare(); !prepared) {
    return explained(path, prepared.error());
  }
  return tables;
}

Result<void> PrivateTables::prepare() {
  return database_.run(kModes);
}

// The file was removed: this connection still has its content.
Result<void> PrivateTables::restore() {
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

// --- the state

Result<PrivateState> PrivateTables::load() {
  PrivateState state;
  std::map<std::string, std::size_t> places;
  const auto fail = [&](const Error& error) { return explained(path_, error); };
  auto rows = database_.prepare(
      "SELECT instance, id, stream, sent, their_stream, received, written_to FROM conversations "
      "ORDER BY used");
  if (!rows) return fail(rows.error());
  while (true) {
    const auto more = rows->step();
    if (!more) return fail(more.error());
    if (!*more) break;
    const std::string hex = rows->text(0);
    const auto with = fromHex<InstanceHash>(hex);
    auto id = PeerId::parse(rows->text(1));
    const std::string named = rows->text(6);
    auto writtenTo = named.empty() ? PeerId() : PeerId::parse(named);
    if (!with || !id || !writtenTo) return fail(strange(path_, "a conversation with nobody"));
    if (state.conversations.size() >= limits::kPrivateConversations) {
      return fail(strange(path_, "it has too many conversations"));
    }
    places[hex] = state.conversations.size();
    state.conversations.push_back({*with,
                                   *std::move(id),
                                   unsignedOf(rows->number(2)),
                                   unsignedOf(rows->number(3)),
                                   unsignedOf(rows->number(4)),
                                   unsignedOf(rows->number(5)),
                                   {},
                                   {},
                                   *std::move(writtenTo)});
  }
  auto messages = database_.prepare(
      "SELECT position, instance, length(CAST(text AS BLOB)), state = 'waiting', number, at, "
      "CASE state WHEN 'waiting' THEN text ELSE '' END FROM messages ORDER BY position");
  if (!messages) return fail(messages.error());
  while (true) {
    const auto more = messages->step();
    if (!more) return fail(more.error());
    if (!*more) break;
    const auto place = places.find(messages->text(1));
    if (place == places.end()) return fail(strange(path_, "a message of no conversation"));
    auto& conversation = state.conversations[place->second];
    const auto position = unsignedOf(messages->number(0));
    conversation.messages.push_back({position, static_cast<std::uint32_t>(messages->number(2))});
    if (messages->number(3) == 0) continue;
    PrivateState::Waiting waiting{position, unsignedOf(messages->number(4)),
                                  std::chrono::milliseconds(messages->number(5)),
                                  messages->text(6)};
    const bool isInOrder =
        conversation.waiting.empty() || conversation.waiting.back().number < waiting.number;
    if (!wire::checkPrivateText(waiting.text) || !isInOrder || waiting.number == 0 ||
        waiting.number > conversation.sent) {
      return fail(strange(path_, "a message that cannot be sent"));
    }
    conversation.waiting.push_back(std::move(waiting));
  }
  auto ignored = database_.prepare("SELECT id, instance FROM ignored ORDER BY rowid");
  if (!ignored) return fail(ignored.error());
  while (true) {
    const auto more = ignored->step();
    if (!more) return fail(more.error());
    if (!*more) return state;
    auto id = PeerId::parse(ignored->text(0));
    const std::string hex = ignored->text(1);
    const auto instance = hex.empty() ? InstanceHash() : fromHex<InstanceHash>(hex);
    if (!id || !instance) return fail(strange(path_, "it ignores nobody"));
    state.ignored.push_back({*std::move(id), *instance});
  }
}

Result<std::vector<KeptMessage>> PrivateTables::conversation(const InstanceHash& with,
                                                             std::size_t most) {
  auto rows = database_.prepare(
      "SELECT is_sent, number, at, state, text FROM messages WHERE instance = ? "
      "ORDER BY position DESC LIMIT ?");
  if (!rows) return rows.error();
  const std::string hex = hexOf(with);
  rows->bind(std::string_view(hex)).bind(static_cast<std::int64_t>(most));
  std::vector<KeptMessage> messages;
  while (true) {
    const auto more = rows->step();
    if (!more) return more.error();
    if (!*more) break;
    messages.push_back({rows->number(0) != 0, unsignedOf(rows->number(1)),
                        std::chrono::milliseconds(rows->number(2)), rows->text(3), rows->text(4)});
  }
  std::reverse(messages.begin(), messages.end());
  return messages;
}

// --- writes

Result<void> PrivateTables::write(std::span<const PrivateWrite> batch) {
  if (!content_.empty() || database_.hasMoved()) {
    if (auto restored = restore(); !restored) return restored;
  }
  if (const auto bounded = database_.boundLog(limits::kDatabaseLogBytes); !bounded) return bounded;
  return database_.inTransaction([&]() -> Result<void> {
    for (const auto& each : batch) {
      auto written = std::visit([this](const auto& what) { return write(what); }, each.what);
      if (!written) return written;
    }
    return {};
  });
}

Result<void> PrivateTables::write(const KeepSent& kept) {
  const std::string hex = hexOf(kept.to);
  auto done = database_.change(
      "INSERT INTO conversations (instance, id, stream, sent, used, written_to) "
      "VALUES (?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (instance) DO UPDATE SET id = excluded.id, stream = excluded.stream, "
      "sent = excluded.sent, used = excluded.used, written_to = excluded.written_to",
      hex, kept.id.text(), kept.stream, kept.number, kept.position, kept.writtenTo.text());
  if (!done) return done;
  return database_.change("INSERT INTO messages VALUES (?, ?, 1, ?, ?, 'waiting', ?)",
                          kept.position, hex, kept.number, kept.at.count(), kept.text);
}

Result<void> PrivateTables::write(const EndSent& ended) {
  return database_.change("UPDATE messages SET state = ? WHERE position = ?",
                          std::string(ended.isDelivered ? "delivered" : "given up"),
                          ended.position);
}

Result<void> PrivateTables::write(const RenumberSent& renumbered) {
  auto done = database_.change("UPDATE conversations SET stream = ?, sent = ? WHERE instance = ?",
                               renumbered.stream, renumbered.numbers.size(), hexOf(renumbered.to));
  if (!done) return done;
  for (const auto& [position, number] : renumbered.numbers) {
    done = database_.change("UPDATE messages SET number = ? WHERE position = ?", number, position);
    if (!done) return done;
  }
  return {};
}

Result<void> PrivateTables::write(const KeepReceived& kept) {
  const std::string hex = hexOf(kept.from);
  auto done = database_.change(
      "INSERT INTO conversations (instance, id, their_stream, received, used) "
      "VALUES (?, ?, ?, ?, ?) ON CONFLICT (instance) DO UPDATE SET id = excluded.id, "
      "their_stream = excluded.their_stream, received = excluded.received, used = excluded.used",
      hex, kept.id.text(), kept.stream, kept.number, kept.position);
  if (!done) return done;
  return database_.change("INSERT INTO messages VALUES (?, ?, 0, ?, ?, 'received', ?)",
                          kept.position, hex, kept.number, kept.at.count(), kept.text);
}

Result<void> PrivateTables::write(const DropMessage& dropped) {
  return database_.change("DELETE FROM messages WHERE position = ?", dropped.position);
}

Result<void> PrivateTables::write(const DropConversation& dropped) {
  const std::string hex = hexOf(dropped.with);
  auto done = database_.change("DELETE FROM messages WHERE instance = ?", hex);
  if (!done) return done;
  return database_.change("DELETE FROM conversations WHERE instance = ?", hex);
}

Result<void> PrivateTables::write(const ChangeIgnored& changed) {
  return database_.change(changed.isIgnored ? "INSERT OR IGNORE INTO ignored VALUES (?, ?)"
                                            : "DELETE FROM ignored WHERE id = ? AND instance = ?",
                          changed.who.id.text(), hexOf(changed.who.instance));
}

}  // namespace espalier::peer::storage
