// The metaservers that `--instances N` starts: processes of this program, on the ports behind that
// of the metaserver which is their entry.
//
//   starting --> running --exit code 0 (`stop`, `drain`, SIGTERM)--> ended
//      ^            |
//      +-- pause <--+ died
//
// The pause doubles from kRestartPauseLeast to kRestartPauseMost, and begins anew once an instance
// has run for kSteady. An instance that ended with code 0 was told to: it is not started again.
//
// Its standard error is a pipe to here, whose end is the end of the process. Its lines are logged
// with its name in front. They end when this process ends: by SIGTERM from the destructor, which
// waits for them, or from the kernel (PR_SET_PDEATHSIG) if this process is killed.
//
// Environment and configuration file of this process do not count for them: the command line says
// everything.
//
// Thread rule: one thread, the loop's, which is also the one that must live as long as the process:
// the kernel's signal follows from the end of the thread that forked.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/file_descriptor.h"
#include "common/base/result.h"
#include "common/net/event_loop.h"
#include "metaserver/shell/options.h"

namespace espalier::metaserver::shell {

// The arguments that start the instance on `port`. It gets what all must agree on, and files with
// its port in their names. `others`: metaservers of its cluster.
std::vector<std::string> instanceArguments(const MetaserverOptions& entry, std::uint16_t port,
                                           const std::vector<Endpoint>& others);

class Instances {
 public:
  // `entry` returns where the entry listens now.
  Instances(net::EventLoop& loop, MetaserverOptions options, std::function<Endpoint()> entry);
  ~Instances();
  Instances(const Instances&) = delete;
  Instances& operator=(const Instances&) = delete;

  Result<void> start();

 private:
  struct Instance {
    std::uint16_t port = 0;
    std::string name;         // m5001
    pid_t process = 0;        // 0: it does not run
    FileDescriptor output;    // its standard error
    std::string line;         // its beginning
    bool hasStarted = false;  // at least once
    TimePoint startedAt;
    TimePoint startAt = kNever;
    Duration pause{};
  };

  void startDue();
  void startOne(Instance& instance);
  Result<void> fork(Instance& instance, const std::vector<std::string>& arguments);
  void arm();
  // False: it has ended.
  bool readOutput(Instance& instance);
  void log(const Instance& instance, std::string_view line) const;
  void ended(Instance& instance);
  void startAgain(Instance& instance, const std::string& why);
  // Waits until all have ended, or `until`.
  void waitForEnds(TimePoint until);
  void signalAll(int signal) const;

  net::EventLoop& loop_;
  const MetaserverOptions options_;
  const std::function<Endpoint()> entry_;
  std::vector<Instance> instances_;
  FileDescriptor timer_;  // of the next start
  bool isEnding_ = false;
};

}  // namespace espalier::metaserver::shell
