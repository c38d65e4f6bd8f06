// Keeps topo.txt, NumberOfServers.txt, the state file and that of metaservers up to date, on a
// thread of its own, so that a slow or full disk does not block the network.
//
//   waiting --wake(), or 1 s after a failure--> writing --> pausing --> waiting
//
// Each file is replaced as a whole (the state durably), so that a reader never sees a part of it.
// Only a device or a pipe that the user named is written into. How long the pause is:
// common/base/write_pace.h. Everything is written once more at the end.
//
// If a file cannot be written, this is logged once, the write is repeated every second, and its
// success is logged once. The other files are still written.
//
// Thread: one, started by start(), ended by the destructor. `takeSnapshot` is called on it. Owned
// by the server.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/base/file.h"
#include "metaserver/shell/state_file.h"
#include "topo/topo_file.h"

namespace espalier::metaserver::shell {

struct FilesSnapshot {
  std::uint64_t version = 0;
  std::vector<topo::TopoLine> lines;
  State state;
};

class FilesWriter {
 public:
  struct Paths {
    std::string topo;
    std::string count;
    std::string state;
    std::string servers;
  };
  // Returns a snapshot if there is a version newer than that one.
  using TakeSnapshot = std::function<std::optional<FilesSnapshot>(std::uint64_t newerThan)>;

  // Returns the text of the file of metaservers if it has changed, or `again`. May be empty.
  using TakeServers = std::function<std::optional<std::string>(bool again)>;

  FilesWriter(Paths paths, TakeSnapshot takeSnapshot, TakeServers takeServers = nullptr);
  ~FilesWriter();
  Result<void> start();

  // There may be a newer version. Cheap; from any thread.
  void wake();
  // Writes all files again without a new version, because one was removed. Any thread.
  void writeAgain();

 private:
  void run();
  void writeNewest();
  void writeServers(bool again);
  void told(const std::string& path, const Result<void>& written);

  const Paths paths_;
  const TakeSnapshot takeSnapshot_;
  const TakeServers takeServers_;
  std::uint64_t written_ = 0;
  std::set<std::string> failing_;  // paths that could not be written

  std::mutex mutex_;
  std::condition_variable woken_;
  bool wanted_ = true;
  bool again_ = false;
  bool ending_ = false;
  std::jthread thread_;
};

}  // namespace espalier::metaserver::shell
