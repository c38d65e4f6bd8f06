// Rows and metaservers for tests of directory.db, and what another program reads from it.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <string>

#include "metaserver/storage/directory_tables.h"

namespace espalier::test {

// sN, with the order N.
inline metaserver::MemberRow memberOf(int number, std::uint16_t home) {
  metaserver::MemberRow row;
  row.contact = {*PeerId::parse(fmt::format("s{}", number)),
                 JoinOrder(number),
                 {"10.0.0.1", static_cast<std::uint16_t>((5000 + number) % 65536)}};
  row.home = ServerNumber{home};
  return row;
}

inline metaserver::storage::DirectoryServer serverOf(std::uint16_t number, std::uint16_t port,
                                                     bool isMaster = false) {
  return {*ServerName::parse(fmt::format("m{}", port)),
          ServerNumber{number},
          {"127.0.0.1", port},
          port,
          isMaster,
          {}};
}

// The rows as sqlite3 prints them; an error's text if there is no such file.
inline std::string all(const std::string& path, const char* query) {
  sqlite3* reader = nullptr;
  (void)::sqlite3_open_v2(path.c_str(), &reader, SQLITE_OPEN_READONLY, nullptr);
  std::string text;
  const auto addRow = [](void* rows, int columns, char** values, char**) {
    auto& all = *static_cast<std::string*>(rows);
    for (int i = 0; i < columns; ++i) {
      if (i > 0) all += '|';
      if (values[i] != nullptr) all += values[i];
    }
    all += '\n';
    return 0;
  };
  const int code = ::sqlite3_exec(reader, query, addRow, &text, nullptr);
  if (code != SQLITE_OK) text = ::sqlite3_errmsg(reader);
  ::sqlite3_close_v2(reader);
  return text;
}

}  // namespace espalier::test
