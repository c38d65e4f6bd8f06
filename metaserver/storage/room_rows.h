// Rows of STATE/rooms.db as values, each checked against its limits (room_tables.h). Stateless.
#pragma once

#include <cstdint>
#include <optional>

#include "common/base/limits.h"
#include "common/sqlite/database.h"
#include "metaserver/core/rooms/room_store.h"

namespace espalier::metaserver::storage {

// Columns that entryIn() reads: kEntry, then one of the other two.
inline constexpr const char* kEntry =
    "SELECT sequence, epoch_counter, epoch_number, room, number, speaker, counter, at, author, "
    "kind, opens_at, apart, ";
inline constexpr const char* kText = "text, 0";
inline constexpr const char* kNoText = "'', length(CAST(text AS BLOB))";

inline constexpr std::uint64_t kRoomNumberMost = limits::kSequenceNumbers - 1;

// A number from 0 to `most`.
std::optional<std::uint64_t> numberIn(const sqlite::Statement& row, int column, std::uint64_t most);
std::optional<wire::LogPosition> positionIn(const sqlite::Statement& row, int sequence, int counter,
                                            int number);
std::optional<rooms::StoredEntry> entryIn(const sqlite::Statement& row);

}  // namespace espalier::metaserver::storage
