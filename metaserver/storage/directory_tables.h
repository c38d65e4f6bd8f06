// The tables of STATE/directory.db, by which other programs read who is in the network while the
// metaserver runs:
//
//   metaservers  name, host, port, server_port, master (0 or 1), started (2026-11-28T21:00:00Z)
//   user_names   id, joined (the order of joining), host, port, home, home_port, instance
//   user_rooms   room, id, home_port
//
// `instance` is the hash of the peer's instance key in hexadecimal digits; NULL if the peer's
// program is too old to tell it. `home` and `home_port` are name and server_port of the metaserver
// that holds the peer's connection; NULL while the peer is away, or its metaserver is not in the
// table. server_port is where metaservers connect. user_rooms has no lobby, in which everybody is.
//
// Everything is derived, so it is thrown away and made again, and nothing is synced. The journal is
// a WAL: readers see whole batches, and neither wait for the writer nor make it wait. A reader that
// does not end keeps the WAL growing; beyond limits::kDatabaseLogBytes write() fails until it has
// ended.
//
// Errors: `configuration` if somebody has damaged or changed the file (make it again), `io` for
// everything else (write the same batch again). All functions block on the disk. One thread at a
// time. Owned by DirectoryDatabase. A batch costs O(changes log n); a changed list of metaservers
// O(n).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/sqlite/database.h"
#include "metaserver/core/member_changes.h"

namespace espalier::metaserver::storage {

struct DirectoryServer {
  ServerName name;
  ServerNumber number{};  // kNoServer: a single metaserver, the home of all its members
  Endpoint address;
  std::uint16_t serverPort = 0;
  bool isMaster = false;
  std::chrono::milliseconds started{};  // since 1970

  bool operator==(const DirectoryServer&) const = default;
};

struct DirectoryBatch {
  std::vector<DirectoryServer> servers;  // all that there are; at most limits::kMetaservers
  MemberChanges members;                 // since the batch before
};

class DirectoryTables {
 public:
  // Makes an empty database. What is at the path is removed, unless it is a folder.
  static Result<DirectoryTables> make(const std::string& path);

  // One transaction: after an error nothing has changed.
  Result<void> write(const DirectoryBatch& batch);
  // Whether the file was removed or replaced.
  bool hasMoved() const { return database_.hasMoved(); }

 private:
  struct Home {
    std::string name;
    std::uint16_t port = 0;

    bool operator==(const Home&) const = default;
  };
  explicit DirectoryTables(sqlite::Database database) : database_(std::move(database)) {}
  Result<void> writeServers(const std::vector<DirectoryServer>& servers);
  Result<void> moveMembers(ServerNumber number, const Home* home);
  Result<void> writeMembers(const MemberChanges& changes,
                            const std::map<ServerNumber, Home>& homes);
  Result<void> putMember(const MemberRow& row, const std::map<ServerNumber, Home>& homes);

  sqlite::Database database_;
  std::vector<DirectoryServer> servers_;  // as they are in the table
  bool mayHaveRooms_ = false;             // user_rooms may have rows
};

}  // namespace espalier::metaserver::storage
