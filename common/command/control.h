// The control socket: commands for a program that already runs, from another process of the same
// user.
//
//   STATE/control.sock   a Unix socket, mode 0600, whatever the path's length
//   STATE/control.lock   held by the program that serves it
//
// One JSON object a line, at most limits::kControlLineBytes long:
//
//   client  {"run":"get f3.txt","json":false,"progress":true,"ask":true,"directory":"/home/ann",
//            "home":"/home/ann"}
//   server  {"progress":{"name":"f3.txt","done":4,"total":12,"unit":"bytes"}}   {"progress":null}
//           {"event":{"command":"push","event":"progress","verified":3,"peers":5}}   with
//           "json":true
//           {"say":"waiting for 2 more of 5 peers to join"}
//           {"ask":"which one (1 to 2, Enter for none)> "}
//   client  {"answer":"2"}   {"answer":null}   {"cancel":true}
//   server  {"out":"…"} and {"err":"…"}, any number of each   {"exit":0,"stops":false}
//
// A client may send the next {"run":…} behind an {"exit":…}. `cancel`, or a client that goes away,
// interrupts what its connection asked for. What `run`, `directory` and `home` hold need not be
// UTF-8: such bytes also stand as hexadecimal digits in runHex, directoryHex, homeHex. A server
// that is silent for long is asked {"run":""} over another connection (liveness.h).
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file_descriptor.h"
#include "common/base/result.h"
#include "common/command/dispatcher.h"
#include "common/command/runner.h"
#include "common/command/state_claim.h"

namespace espalier::command {

// Serves until it is destroyed. Threads: one that accepts and reads, and one a session, at most
// limits::kControlSessions; all end in the destructor, which interrupts running commands and gives
// them limits::kControlGrace to say so.
class ControlServer {
 public:
  // Takes the state folder: until the server is gone, no other program gets it. Makes `stateDir`
  // (0700) if it is not there. Fails with `refused` when a program has it already, before anything
  // is touched. A socket that nobody answers on is replaced. Clients that connect before serve()
  // wait for it. See StateClaim for what happens when the folder is removed meanwhile.
  static Result<std::unique_ptr<ControlServer>> claim(const std::string& stateDir);
  // Called on the server's thread whenever the state folder was removed and has been made again: to
  // put there what else belongs there. Before serve().
  void onRestored(std::function<void()> restore) { onRestored_ = std::move(restore); }
  // Begins to answer; once. `dispatcher` outlives the server.
  Result<void> serve(const Dispatcher& dispatcher);

  // Both at once.
  static Result<std::unique_ptr<ControlServer>> start(const std::string& stateDir,
                                                      const Dispatcher& dispatcher);
  // Ends what the destructor ends; the state folder stays taken, for what is still to be put there.
  void stop();
  ~ControlServer();

  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  class Session;

  ControlServer(std::string stateDir, StateClaim state, FileDescriptor wake);
  void run(const std::stop_token& stop);
  void acceptOne();
  void checkState();

  const Dispatcher* dispatcher_ = nullptr;
  std::function<void()> onRestored_;
  const std::string stateDir_;
  StateClaim state_;  // the thread's, once there is one
  TimePoint nextCheck_{};
  bool toldGone_ = false;
  FileDescriptor wake_;                           // an eventfd: a session has ended, or all shall
  std::list<std::unique_ptr<Session>> sessions_;  // the thread's own
  std::jthread thread_;
};

struct RunningProgram {
  std::string name;  // "the peer"
  std::string stateDir;
};

// Runs `lines` in the program that serves the folder, as runCommands() would here; with nobody
// there, none. Uses all of `context`, whose directory should not be empty: what a path means is up
// to whoever asks. A program that ends meanwhile is an error of the code `io`, one that is stopped
// of the code `timeout`: what a command has said by then is not shown. Blocks its caller.
std::optional<int> runInRunning(const RunningProgram& program,
                                const std::vector<std::string>& lines, Context& context,
                                const Output& output);
std::string doesNotAnswer(const RunningProgram& program);

}  // namespace espalier::command
