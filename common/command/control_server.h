// The control socket: runs commands that another process of the same user sends. control_client.h
// has the other end.
//
//   STATE/control.sock   a Unix socket, mode 0600; the path may be longer than a socket address
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
// A client may send the next {"run":…} after an {"exit":…}. `cancel`, or the end of the connection,
// interrupts the command that runs on it. `stops`: the program ends, the client sends nothing more.
// If `run`, `directory` or `home` is not UTF-8, runHex, directoryHex or homeHex has it as
// hexadecimal digits. A client probes a silent server with {"run":""} over another connection
// (liveness.h).
//
// The server renders outcomes, and a client only prints them. So old and new programs work
// together.
//
// Built by metaserver/main.cpp, and by LocalPeer (peer/shell). The class below has the thread rule.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/base/wake_up.h"
#include "common/command/dispatcher.h"
#include "common/command/state_claim.h"

namespace espalier::command {

// Serves until it is destroyed. Threads: one that accepts and reads, and one for each session, at
// most limits::kControlSessions. All end in stop(), which the destructor calls: it interrupts
// running commands, cuts their sockets after limits::kControlGrace, and waits for them.
class ControlServer {
 public:
  // Claims the state folder: no other program gets it until the destructor. Makes `stateDir` (0700)
  // if it does not exist. Fails with `refused`, before anything is changed, if another program has
  // it. Replaces a socket on which no program answers. Clients that connect before serve() wait for
  // it. StateClaim says what happens if the folder is removed meanwhile.
  static Result<std::unique_ptr<ControlServer>> claim(const std::string& stateDir);
  // `restore` is called on the server's thread after the state folder was removed and made again;
  // it writes the other files of the folder. Before serve().
  void onRestored(std::function<void()> restore) { onRestored_ = std::move(restore); }
  // Begins to answer. Called once. `dispatcher` outlives the server.
  Result<void> serve(const Dispatcher& dispatcher);

  // claim() and serve().
  static Result<std::unique_ptr<ControlServer>> start(const std::string& stateDir,
                                                      const Dispatcher& dispatcher);
  // Ends all threads. The state folder stays claimed, so that files can still be written there.
  void stop();
  ~ControlServer();

  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  class Session;

  ControlServer(std::string stateDir, StateClaim state, WakeUp wakeUp);
  void run(const std::stop_token& stop);
  void acceptOne();
  void checkState();

  const Dispatcher* dispatcher_ = nullptr;
  std::function<void()> onRestored_;
  const std::string stateDir_;
  StateClaim state_;  // the server's thread, once it runs
  TimePoint nextCheck_{};
  bool toldGone_ = false;
  WakeUp wakeUp_;  // of the thread: a session has ended, or stop() was called
  std::list<std::unique_ptr<Session>> sessions_;  // the server's thread
  std::jthread thread_;
};

}  // namespace espalier::command
