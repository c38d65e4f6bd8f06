// Runs the real programs for a benchmark: in a temporary folder, on ports of 127.0.0.1. They end
// with the benchmark, however it ends. Any failure ends the benchmark with a line on standard
// error.
//
// Not thread-safe. Used by the benchmarks joins, idle, search_latency, push_scaling and registry.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/report.h"
#include "common/base/endpoint.h"
#include "common/base/file_descriptor.h"

namespace espalier::bench {

[[noreturn]] void fail(const std::string& what);
[[noreturn]] void failWithErrno(const std::string& what);

// The options `--name value` of a command line. Anything else ends the program with the usage.
class Arguments {
 public:
  Arguments(int count, char** words, std::map<std::string, std::string> defaults);
  int number(const std::string& name) const;
  const std::string& text(const std::string& name) const { return values_.at(name); }

 private:
  std::map<std::string, std::string> values_;
};

class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A child process. Killed by the destructor, and by the kernel when this process dies.
class Process {
 public:
  // Runs a program with its standard error in `log`.
  static Process start(const std::vector<std::string>& command, const std::string& log);
  // Runs a function in a fork; it must not return.
  static Process fork(const std::function<void()>& body);

  Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Process& operator=(Process&& other) noexcept {
    std::swap(pid_, other.pid_);
    return *this;
  }
  ~Process();

  pid_t pid() const { return pid_; }
  bool alive() const;
  // User and system time of all its threads, also of those that have ended.
  double cpuSeconds() const;
  std::uint64_t anonymousBytes() const;
  int threads() const;

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  pid_t pid_ = -1;
};

// Checks the condition every few milliseconds until it holds; fails after that time.
void waitFor(const std::string& what, std::chrono::seconds atMost,
             const std::function<bool()>& condition);
std::string readText(const std::string& path);  // empty if it cannot be read
void writeText(const std::string& path, const std::string& text);
// The path of `metaserver` or `peer` in this program's build folder.
std::string programPath(const std::string& name);

struct Metaserver {
  Process process;
  Endpoint endpoint;
  std::string topoFile;
};
Metaserver startMetaserver(const std::string& folder, const std::vector<std::string>& options);

using Topology = std::map<std::string, std::vector<std::string>>;  // id -> its neighbours

// A network of real peers p1 … pN. Peer pI shares needle-pI.txt and a few more small files.
class Network {
 public:
  Network(int peers, int maxLinks);

  const Metaserver& metaserver() const { return metaserver_; }
  const std::vector<Process>& peers() const { return peers_; }
  Topology topology() const;
  // Two peers that are farthest apart, and the hops between them.
  struct Ends {
    std::string from;
    std::string to;
    int hops = 0;
  };
  Ends ends() const;
  std::string stateFolder(const std::string& id) const {
    return folder_.path() + "/" + id + "/.espalier";
  }

 private:
  bool isWhole() const;
  TemporaryFolder folder_;
  Metaserver metaserver_;
  std::vector<Process> peers_;
};

// A connection to a peer's control socket that stays open over many commands.
class Control {
 public:
  explicit Control(const std::string& stateFolder);
  // The command's JSON, and the seconds until it ended.
  struct Answer {
    Json json;
    double seconds = 0;
  };
  Answer run(const std::string& command);

 private:
  FileDescriptor socket_;
  std::string received_;
};

}  // namespace espalier::bench
