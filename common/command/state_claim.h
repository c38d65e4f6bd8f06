// What makes a program the only one on its state folder, and how clients find it:
//
//   STATE/control.lock   a lock on this file, for as long as the program runs
//   STATE/control.sock   where clients connect
//   a lock on STATE's name in the folder above, which outlives STATE itself
//
// A user may remove the state folder, or move it away, while its program runs. The program makes it
// again under its name (check(), called now and then), so that clients find it. Until it has, the
// lock on the name keeps a second program from starting there, and tells clients to wait.
//
// The lock on the name counts only where there is no control.lock: any user who may list the folder
// above could take it. It is an open-file-description lock on a byte of that folder whose number
// is a hash of the name; file systems without such locks lose only this protection.
//
// Not thread-safe. All functions block on the disk.
#pragma once

#include <sys/types.h>

#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "common/base/file_descriptor.h"
#include "common/base/result.h"

namespace espalier::command {

class StateClaim {
 public:
  // Makes the folder if need be. Fails with `refused` when a program runs on it, before anything in
  // it is touched. A socket that nobody answers on is replaced.
  static Result<StateClaim> take(const std::string& path);
  ~StateClaim() { hide(); }
  StateClaim(StateClaim&&) noexcept = default;
  StateClaim& operator=(StateClaim&&) = delete;

  int listener() const { return listener_.get(); }

  enum class Found {
    whole,     // as it was
    restored,  // it was gone, and has been made again: listener() is another one
    gone,      // it is gone and can't be made again now
    taken,     // another program runs on that path meanwhile
  };
  struct Check {
    Found found;
    std::string why;  // for `gone`
  };
  Check check();

  // Removes the socket, so that clients find nobody; the locks stay.
  void hide();

 private:
  using FileId = std::pair<dev_t, ino_t>;

  explicit StateClaim(std::string path) : path_(std::move(path)) {}
  Result<void> takeAll();
  bool isWhole() const;

  std::string path_;
  FileDescriptor name_;  // of the folder above, with the lock on the name; -1 where there is none
  FileDescriptor folder_;
  FileDescriptor lock_;
  FileDescriptor listener_;
  std::optional<FileId> socket_;
};

// For a client, before it looks for the socket: while a program runs on a state folder that has
// been removed, or is about to end, waits until the folder is made again, or the program has ended;
// limits::kStateAwaited at most.
void awaitState(const std::string& path, const std::stop_token& stop);

}  // namespace espalier::command
