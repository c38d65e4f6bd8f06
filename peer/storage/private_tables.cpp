#include "peer/storage/private_tables.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "common/base/limits.h"
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

constexpr StateDatabase::Form kForm{kSchema, kVersion, "private messages"};

std::string hexOf(const InstanceHash& instance) {
  return instance.isZero() ? std::string() : toHex(instance.view());
}

std::uint64_t unsignedOf(std::int64_t number) {
  return static_cast<std::uint64_t>(number);
}

}  // namespace

Result<PrivateTables> PrivateTables::open(const std::string& path) {
  auto database = StateDatabase::open(path, kForm);
  if (!database) return database.error();
  return PrivateTables(std::move(*database));
}

// --- the state

Result<PrivateState> PrivateTables::load() {
  PrivateState state;
  std::map<std::string, std::size_t> places;
  const auto fail = [&](const Error& error) { return database_.explained(error); };
  auto rows = database_.connection().prepare(
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
    if (!with || !id || !writtenTo) return fail(database_.strange("a conversation with nobody"));
    if (state.conversations.size() >= limits::kPrivateConversations) {
      return fail(database_.strange("it has too many conversations"));
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
  auto messages = database_.connection().prepare(
      "SELECT position, instance, length(CAST(text AS BLOB)), state = 'waiting', number, at, "
      "CASE state WHEN 'waiting' THEN text ELSE '' END FROM messages ORDER BY position");
  if (!messages) return fail(messages.error());
  while (true) {
    const auto more = messages->step();
    if (!more) return fail(more.error());
    if (!*more) break;
    const auto place = places.find(messages->text(1));
    if (place == places.end()) return fail(database_.strange("a message of no conversation"));
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
      return fail(database_.strange("a message that cannot be sent"));
    }
    conversation.waiting.push_back(std::move(waiting));
  }
  auto ignored = database_.connection().prepare("SELECT id, instance FROM ignored ORDER BY rowid");
  if (!ignored) return fail(ignored.error());
  while (true) {
    const auto more = ignored->step();
    if (!more) return fail(more.error());
    if (!*more) return state;
    auto id = PeerId::parse(ignored->text(0));
    const std::string hex = ignored->text(1);
    const auto instance = hex.empty() ? InstanceHash() : fromHex<InstanceHash>(hex);
    if (!id || !instance) return fail(database_.strange("it ignores nobody"));
    state.ignored.push_back({*std::move(id), *instance});
  }
}

Result<std::vector<KeptMessage>> PrivateTables::conversation(const InstanceHash& with,
                                                             std::size_t most) {
  auto rows = database_.connection().prepare(
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
  return database_.write([&]() -> Result<void> {
    for (const auto& each : batch) {
      auto written = std::visit([this](const auto& what) { return write(what); }, each.what);
      if (!written) return written;
    }
    return {};
  });
}

Result<void> PrivateTables::write(const KeepSent& kept) {
  const std::string hex = hexOf(kept.to);
  auto done = database_.connection().change(
      "INSERT INTO conversations (instance, id, stream, sent, used, written_to) "
      "VALUES (?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (instance) DO UPDATE SET id = excluded.id, stream = excluded.stream, "
      "sent = excluded.sent, used = excluded.used, written_to = excluded.written_to",
      hex, kept.id.text(), kept.stream, kept.number, kept.position, kept.writtenTo.text());
  if (!done) return done;
  return database_.connection().change("INSERT INTO messages VALUES (?, ?, 1, ?, ?, 'waiting', ?)",
                                       kept.position, hex, kept.number, kept.at.count(), kept.text);
}

Result<void> PrivateTables::write(const EndSent& ended) {
  return database_.connection().change("UPDATE messages SET state = ? WHERE position = ?",
                                       std::string(ended.isDelivered ? "delivered" : "given up"),
                                       ended.position);
}

Result<void> PrivateTables::write(const RenumberSent& renumbered) {
  auto done = database_.connection().change(
      "UPDATE conversations SET stream = ?, sent = ? WHERE instance = ?", renumbered.stream,
      renumbered.numbers.size(), hexOf(renumbered.to));
  if (!done) return done;
  for (const auto& [position, number] : renumbered.numbers) {
    done = database_.connection().change("UPDATE messages SET number = ? WHERE position = ?",
                                         number, position);
    if (!done) return done;
  }
  return {};
}

Result<void> PrivateTables::write(const KeepReceived& kept) {
  const std::string hex = hexOf(kept.from);
  auto done = database_.connection().change(
      "INSERT INTO conversations (instance, id, their_stream, received, used) "
      "VALUES (?, ?, ?, ?, ?) ON CONFLICT (instance) DO UPDATE SET id = excluded.id, "
      "their_stream = excluded.their_stream, received = excluded.received, used = excluded.used",
      hex, kept.id.text(), kept.stream, kept.number, kept.position);
  if (!done) return done;
  return database_.connection().change("INSERT INTO messages VALUES (?, ?, 0, ?, ?, 'received', ?)",
                                       kept.position, hex, kept.number, kept.at.count(), kept.text);
}

Result<void> PrivateTables::write(const DropMessage& dropped) {
  return database_.connection().change("DELETE FROM messages WHERE position = ?", dropped.position);
}

Result<void> PrivateTables::write(const DropConversation& dropped) {
  const std::string hex = hexOf(dropped.with);
  auto done = database_.connection().change("DELETE FROM messages WHERE instance = ?", hex);
  if (!done) return done;
  return database_.connection().change("DELETE FROM conversations WHERE instance = ?", hex);
}

Result<void> PrivateTables::write(const ChangeIgnored& changed) {
  return database_.connection().change(changed.isIgnored
                                           ? "INSERT OR IGNORE INTO ignored VALUES (?, ?)"
                                           : "DELETE FROM ignored WHERE id = ? AND instance = ?",
                                       changed.who.id.text(), hexOf(changed.who.instance));
}

}  // namespace espalier::peer::storage
