// Keeps what is counted, and sessions, in STATE/storage.db (session_tables.h): read at the start,
// then written behind on a thread of its own, so that nothing waits for the disk.
//
//   load() --> start() --> waiting --wake(), or a second after a failure--> writing --> pausing
//                             ^                                                            |
//                             +------------------------------------------------------------+
//
// If a batch cannot be written, this is logged once, and it is tried again every second; the
// success is logged once. Meanwhile counting goes on in memory, within the bounds of
// sessions/sessions.h. A file that was removed is made again, with the days that are in memory; one
// that was replaced gets them, too. One that is damaged while it is used is left as it is, until
// somebody moves it away.
//
// Thread: one, started by start(), ended by the destructor after everything is written that can be.
// `take` and `name` are called on it. Owned by the server.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/base/result.h"
#include "metaserver/core/sessions/sessions.h"
#include "metaserver/storage/session_tables.h"

namespace espalier::metaserver::storage {

class SessionDatabase {
 public:
  // Sessions::takeBatch().
  using Take = std::function<std::optional<sessions::Batch>(bool all)>;
  using Name = std::function<std::string()>;

  explicit SessionDatabase(std::string path) : path_(std::move(path)) {}
  ~SessionDatabase();

  // Before start(). `configuration`, with what to do: what is there cannot be read, or is of a
  // newer version. A file that cannot be made is logged, and made later.
  Result<sessions::Stored> load();
  Result<void> start(Take take, Name name);
  // There is something to write. Cheap; from any thread.
  void wake();

 private:
  void run();
  void writeAll();
  Result<bool> writeNext();
  void told(const Result<bool>& written);

  const std::string path_;
  Take take_;
  Name name_;
  std::optional<SessionTables> tables_;   // none: to be opened
  std::optional<sessions::Batch> batch_;  // taken, but not written yet
  bool all_ = false;                      // all is to be taken: the file is another one
  bool failing_ = false;

  std::mutex mutex_;
  std::condition_variable woken_;
  bool wanted_ = true;
  bool ending_ = false;
  std::jthread thread_;
};

}  // namespace espalier::metaserver::storage
