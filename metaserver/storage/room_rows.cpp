#include "metaserver/storage/room_rows.h"

#include <utility>

#include "common/base/text.h"

namespace espalier::metaserver::storage {

using Kind = wire::RoomEntry::Kind;

std::optional<std::uint64_t> numberIn(const sqlite::Statement& row, int column,
                                      std::uint64_t most) {
  if (!row.isNumber(column) || row.number(column) < 0) return std::nullopt;
  const auto number = static_cast<std::uint64_t>(row.number(column));
  return number <= most ? std::optional(number) : std::nullopt;
}

std::optional<wire::LogPosition> positionIn(const sqlite::Statement& row, int sequence, int counter,
                                            int number) {
  const auto at = numberIn(row, sequence, kRoomNumberMost);
  const auto epochCounter = numberIn(row, counter, limits::kEpochCounter);
  const auto epochNumber = numberIn(row, number, 0xffff);
  if (!at || !epochCounter || !epochNumber) return std::nullopt;
  return wire::LogPosition{{static_cast<std::uint32_t>(*epochCounter),
                            ServerNumber{static_cast<std::uint16_t>(*epochNumber)}},
                           *at};
}

std::optional<rooms::StoredEntry> entryIn(const sqlite::Statement& row) {
  rooms::StoredEntry stored;
  auto& entry = stored.entry;
  const auto position = positionIn(row, 0, 1, 2);
  auto room = RoomName::parse(row.text(3));
  const auto number = numberIn(row, 4, kRoomNumberMost);
  const auto speaker = SpeakerId::fromRaw(row.text(5));
  const auto at = numberIn(row, 7, (1ull << 53) - 1);
  const auto kind = numberIn(row, 9, static_cast<std::uint64_t>(Kind::ended));
  const auto opensAt = numberIn(row, 10, limits::kMembers);
  const auto bytes = numberIn(row, 13, limits::kRoomTextBytes);
  if (!position || position->isZero() || !room || !number || *number == 0 || !speaker) {
    return std::nullopt;
  }
  if (!row.isNumber(6) || row.number(6) == 0 || !at || !kind || *kind == 0 || !opensAt || !bytes) {
    return std::nullopt;
  }
  entry.room = *std::move(room);
  entry.position = *position;
  entry.number = *number;
  entry.id = {*speaker, static_cast<std::uint64_t>(row.number(6))};
  entry.atMs = *at;
  entry.kind = static_cast<Kind>(*kind);
  entry.opensAt = static_cast<std::uint32_t>(*opensAt);
  entry.isApart = row.number(11) != 0;
  entry.text = row.text(12);
  stored.bytes = static_cast<std::uint32_t>(*bytes);
  if (entry.text.size() > limits::kRoomTextBytes || !isUtf8(entry.text)) return std::nullopt;
  if (entry.kind != Kind::message) return stored;
  auto author = PeerId::parse(row.text(8));
  if (!author) return std::nullopt;
  entry.author = *std::move(author);
  return stored;
}

}  // namespace espalier::metaserver::storage
