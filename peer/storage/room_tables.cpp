#include "peer/storage/room_tables.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string_view>

#include "common/base/limits.h"

namespace espalier::peer::storage {
namespace {

constexpr const char* kSchema = R"(
  CREATE TABLE meta (
    revision INTEGER NOT NULL
  );
  INSERT INTO meta VALUES (0);
  CREATE TABLE rooms (
    name TEXT PRIMARY KEY,
    opens_at INTEGER NOT NULL,
    from_first INTEGER NOT NULL,
    position TEXT NOT NULL,
    places TEXT NOT NULL,
    last_ms INTEGER NOT NULL,
    unread INTEGER NOT NULL,
    naming INTEGER NOT NULL
  );
  CREATE TABLE shown (
    entry INTEGER PRIMARY KEY,
    room TEXT NOT NULL,
    speaker TEXT NOT NULL,
    counter INTEGER NOT NULL
  );
  CREATE INDEX shown_by_room ON shown (room, entry);
  PRAGMA user_version = 1;
)";

constexpr StateDatabase::Form kForm{kSchema, 1, "rooms"};
constexpr std::size_t kShownOfRoom = 2 * limits::kRoomMessages;

std::string textOf(const wire::LogPosition& position) {
  return fmt::format("{}.{}.{}", position.epoch.counter, number(position.epoch.number),
                     position.sequence);
}

std::string textOf(const std::vector<wire::RoomPlace>& places) {
  std::string text;
  for (const auto& place : places) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : " ", textOf(place.position), place.number);
  }
  return text;
}

// Takes a number, and the separator behind it if that is not the end.
template <typename Number>
bool take(std::string_view& text, Number& number, char separator) {
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (separator == '\0') return true;
  if (!text.starts_with(separator)) return false;
  text.remove_prefix(1);
  return true;
}

bool take(std::string_view& text, wire::LogPosition& position) {
  std::uint16_t server = 0;
  if (!take(text, position.epoch.counter, '.') || !take(text, server, '.') ||
      !take(text, position.sequence, '\0')) {
    return false;
  }
  position.epoch.number = ServerNumber{server};
  return position.sequence < limits::kSequenceNumbers;
}

std::optional<wire::LogPosition> positionOf(std::string_view text) {
  wire::LogPosition position;
  if (!take(text, position) || !text.empty()) return std::nullopt;
  return position;
}

std::optional<std::vector<wire::RoomPlace>> placesOf(std::string_view text) {
  std::vector<wire::RoomPlace> places;
  while (!text.empty()) {
    wire::RoomPlace place;
    if (!take(text, place.position) || !text.starts_with(':')) return std::nullopt;
    text.remove_prefix(1);
    if (!take(text, place.number, '\0') || places.size() >= limits::kRoomPlaces) {
      return std::nullopt;
    }
    if (text.starts_with(' ')) text.remove_prefix(1);
    places.push_back(place);
  }
  return places;
}

std::uint64_t unsignedOf(std::int64_t number) {
  return static_cast<std::uint64_t>(number);
}

}  // namespace

// --- changes

void RoomChanges::add(const SavedRoom& saved) {
  auto& room = rooms[saved.room];
  room.saved = saved;
  if (saved.isJoined) return;
  room.wasLeft = true;
  room.shown.clear();
}

void RoomChanges::addShown(const RoomName& name, const wire::RoomEntryId& id) {
  auto& shown = rooms[name].shown;
  if (shown.size() >= kShownOfRoom) shown.erase(shown.begin());
  shown.push_back(id);
}

// --- the database

Result<RoomTables> RoomTables::open(const std::string& path) {
  auto database = StateDatabase::open(path, kForm);
  if (!database) return database.error();
  return RoomTables(std::move(*database));
}

Result<RoomViews::Saved> RoomTables::load() {
  RoomViews::Saved saved;
  const auto revision = database_.connection().number("SELECT revision FROM meta");
  if (!revision) return database_.explained(revision.error());
  saved.revision = unsignedOf(*revision);
  if (auto loaded = loadRooms(saved); !loaded) return database_.explained(loaded.error());
  if (auto loaded = loadShown(saved); !loaded) return database_.explained(loaded.error());
  return saved;
}

Result<void> RoomTables::loadRooms(RoomViews::Saved& saved) {
  auto rows = database_.connection().prepare(
      "SELECT name, opens_at, from_first, position, places, last_ms, unread, naming FROM rooms");
  if (!rows) return rows.error();
  while (true) {
    const auto more = rows->step();
    if (!more) return more.error();
    if (!*more) return {};
    auto name = RoomName::parse(rows->text(0));
    const auto position = positionOf(rows->text(3));
    auto places = placesOf(rows->text(4));
    if (!name || !position || !places) return database_.strange("a room that cannot be");
    // With the lobby.
    if (saved.rooms.size() > limits::kRoomsOfPeer) return database_.strange("too many rooms");
    saved.rooms.push_back({*std::move(name), static_cast<std::uint32_t>(rows->number(1)), true,
                           rows->number(2) != 0, *position, *std::move(places),
                           unsignedOf(rows->number(5)), unsignedOf(rows->number(6)),
                           unsignedOf(rows->number(7))});
  }
}

Result<void> RoomTables::loadShown(RoomViews::Saved& saved) {
  auto rows =
      database_.connection().prepare("SELECT room, speaker, counter FROM shown ORDER BY entry");
  if (!rows) return rows.error();
  while (true) {
    const auto more = rows->step();
    if (!more) return more.error();
    if (!*more) return {};
    auto name = RoomName::parse(rows->text(0));
    const auto speaker = fromHex<SpeakerId>(rows->text(1));
    if (!name || !speaker) return database_.strange("an id that cannot be");
    auto& shown = saved.shown[*name];
    if (shown.size() > kShownOfRoom || saved.shown.size() > limits::kRoomsOfPeer + 1) {
      return database_.strange("too many ids");
    }
    shown.push_back({*speaker, unsignedOf(rows->number(2))});
  }
}

Result<void> RoomTables::write(const RoomChanges& changes) {
  return database_.write([&]() -> Result<void> {
    if (changes.revision > 0) {
      auto done = database_.connection().change("UPDATE meta SET revision = ?", changes.revision);
      if (!done) return done;
    }
    for (const auto& [name, room] : changes.rooms) {
      if (auto done = write(name, room); !done) return done;
    }
    return {};
  });
}

Result<void> RoomTables::write(const RoomName& name, const RoomChanges::Room& room) {
  auto& database = database_.connection();
  if (room.wasLeft) {
    auto done = database.change("DELETE FROM rooms WHERE name = ?", name.text());
    if (done) done = database.change("DELETE FROM shown WHERE room = ?", name.text());
    if (!done) return done;
  }
  const auto& saved = room.saved;
  if (saved.isJoined) {
    auto done =
        database.change("INSERT OR REPLACE INTO rooms VALUES (?, ?, ?, ?, ?, ?, ?, ?)", name.text(),
                        saved.opensAt, saved.fromFirst ? 1 : 0, textOf(saved.at),
                        textOf(saved.places), saved.lastMs, saved.unread, saved.naming);
    if (!done) return done;
  }
  for (const auto& id : room.shown) {
    auto done = database.change("INSERT INTO shown (room, speaker, counter) VALUES (?, ?, ?)",
                                name.text(), toHex(id.speaker.view()), id.counter);
    if (!done) return done;
  }
  if (room.shown.empty()) return {};
  return database.change(
      "DELETE FROM shown WHERE room = ?1 AND entry <= "
      "(SELECT entry FROM shown WHERE room = ?2 ORDER BY entry DESC LIMIT 1 OFFSET ?3)",
      name.text(), name.text(), kShownOfRoom);
}

}  // namespace espalier::peer::storage
