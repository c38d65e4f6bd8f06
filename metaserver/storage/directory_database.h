// Writes the directory of the network behind into STATE/directory.db (directory_tables.h), on a
// thread of its own, so that a slow or full disk does not block the network.
//
//   waiting --wake(), or 1 s after a failure--> writing a batch --> pausing --> waiting
//      ^                                            |
//      +-- made again, from scratch <-- removed or damaged
//
// The database is new at each start. Each batch is one transaction; if more follow (`more`), they
// are written at once. How long the pause is: common/base/write_pace.h.
//
// If a batch cannot be written, this is logged once. The same batch is tried again every second,
// and nothing else is taken meanwhile; the success is logged once. A database that was removed or
// damaged is made again, and everything is taken again.
//
// Thread: one, started by start(), ended by the destructor after one more batch.
// `take` is called on it. Owned by the server.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/base/result.h"
#include "metaserver/storage/directory_tables.h"

namespace espalier::metaserver::storage {

class DirectoryDatabase {
 public:
  // What has changed since the last batch that was taken; none: nothing. With `all`, what begins
  // from scratch (MemberChanges::fromScratch) instead; asked again until there is some.
  using Take = std::function<std::optional<DirectoryBatch>(bool all)>;

  DirectoryDatabase(std::string path, Take take);
  ~DirectoryDatabase();
  Result<void> start();

  // There may be changes. Cheap; from any thread.
  void wake();
  // Makes the database again, because the state folder was removed. Any thread.
  void writeAgain();

 private:
  void run();
  void writeAll(bool again);
  Result<bool> writeNext();
  void told(const Result<bool>& written);
  bool isEnding();

  const std::string path_;
  const Take take_;
  std::optional<DirectoryTables> tables_;  // none: it must be made
  std::optional<DirectoryBatch> batch_;    // taken, but not written yet
  bool all_ = true;                        // to be taken from scratch
  bool failing_ = false;

  std::mutex mutex_;
  std::condition_variable woken_;
  bool wanted_ = true;
  bool again_ = false;
  bool ending_ = false;
  std::jthread thread_;
};

}  // namespace espalier::metaserver::storage
