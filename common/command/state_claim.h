// Makes a program the only one on its state folder, and lets clients find it:
//
//   STATE/control.lock   a lock on this file, for as long as the program runs
//   STATE/control.sock   where clients connect
//   a lock on STATE's name in the folder above, which outlives STATE itself
//
// A user may remove or move the state folder while its program runs. check(), called every half
// second, makes it again under its name. Until then the lock on the name keeps a second program
// from starting there, and clients wait.
//
// The lock on the name counts only if there is no control.lock, since any user who may list the
// folder above could take it. It is an open-file-description lock on a byte of that folder; the
// byte's number is a hash of the name. A file system without such locks lacks only this protection.
//
// Not thread-safe. All functions block on the disk. Owned by ControlServer.
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
  // Makes the folder if it does not exist. Fails with `refused`, before anything in it is changed,
  // if another program runs on it. Replaces a socket that no program answers on.
  static Result<StateClaim> take(const std::string& path);
  ~StateClaim() { hide(); }
  StateClaim(StateClaim&&) noexcept = default;
  StateClaim& operator=(StateClaim&&) = delete;

  int listener() const { return listener_.get(); }

  enum class Found {
    whole,     // unchanged
    restored,  // it was removed, and made again; listener() has changed
    gone,      // it was removed, and cannot be made again at present
    taken,     // another program runs on that path now
  };
  struct Check {
    Found found;
    std::string why;  // for `gone`
  };
  Check check();

  // Removes the socket, so that clients find no program. The locks stay.
  void hide();

 private:
  using FileId = std::pair<dev_t, ino_t>;

  explicit StateClaim(std::string path) : path_(std::move(path)) {}
  Result<void> takeAll();
  bool isWhole() const;

  std::string path_;
  FileDescriptor name_;  // of the folder above, with the lock on the name; -1: there is none
  FileDescriptor folder_;
  FileDescriptor lock_;
  FileDescriptor listener_;
  std::optional<FileId> socket_;
};

// Called by a client before it looks for the socket. If a program runs on the folder, but the
// folder was removed, waits until it is made again or the program has ended; limits::kStateAwaited
// at most.
void awaitState(const std::string& path, const std::stop_token& stop);

}  // namespace espalier::command
