// Real etcds for tests, in a temporary folder and on free ports, and metaservers at them. Without
// an etcd on this machine (Debian: etcd-server) the tests fail.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/fs.h"
#include "common/base/random.h"
#include "metaserver/etcd/engine.h"

namespace espalier::metaserver::etcd::test {

using namespace std::chrono_literals;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = "/tmp/espalier-etcd-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryFolder() {
    boost::system::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Free now, and not one of those that the kernel gives to outgoing connections.
inline std::uint16_t freePort() {
  static Random random = seededFromKernel();
  while (true) {
    const auto port = static_cast<std::uint16_t>(20'000 + random() % 12'000);
    const int probe = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool isFree = ::bind(probe, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
    ::close(probe);
    if (isFree) return port;
  }
}

class EtcdCluster {
 public:
  struct Options {
    std::string scheme = "http";    // for clients
    std::vector<std::string> more;  // options
  };
  explicit EtcdCluster(std::size_t count) : EtcdCluster(count, Options{}) {}
  EtcdCluster(std::size_t count, const Options& options) {
    std::string all;
    std::vector<std::string> peers;
    for (std::size_t index = 0; index < count; ++index) {
      peers.push_back(fmt::format("http://127.0.0.1:{}", freePort()));
      urls.push_back(fmt::format("{}://127.0.0.1:{}", options.scheme, freePort()));
      all += fmt::format("{}e{}={}", all.empty() ? "" : ",", index, peers.back());
    }
    for (std::size_t index = 0; index < count; ++index) {
      std::vector<std::string> words{"etcd",
                                     "--name",
                                     fmt::format("e{}", index),
                                     "--data-dir",
                                     fmt::format("{}/e{}", folder_.path(), index),
                                     "--listen-client-urls",
                                     urls[index],
                                     "--advertise-client-urls",
                                     urls[index],
                                     "--listen-peer-urls",
                                     peers[index],
                                     "--initial-advertise-peer-urls",
                                     peers[index],
                                     "--initial-cluster",
                                     all,
                                     "--logger",
                                     "zap"};
      words.insert(words.end(), options.more.begin(), options.more.end());
      processes_.push_back(start(words, fmt::format("{}/e{}.log", folder_.path(), index)));
    }
  }
  ~EtcdCluster() {
    for (std::size_t index = 0; index < processes_.size(); ++index) kill(index);
  }
  EtcdCluster(const EtcdCluster&) = delete;
  EtcdCluster& operator=(const EtcdCluster&) = delete;

  void signal(std::size_t index, int number) const { ::kill(processes_[index], number); }
  void signalAll(int number) const {
    for (std::size_t index = 0; index < processes_.size(); ++index) signal(index, number);
  }
  void kill(std::size_t index) {
    if (processes_[index] == 0) return;
    ::kill(processes_[index], SIGKILL);
    ::waitpid(processes_[index], nullptr, 0);
    processes_[index] = 0;
  }

  std::vector<std::string> urls;

 private:
  static pid_t start(const std::vector<std::string>& words, const std::string& log) {
    std::vector<char*> arguments;
    for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child > 0) return child;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int out = ::open(log.c_str(), O_CREAT | O_WRONLY, 0600);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execvp("etcd", arguments.data());
    ::_exit(127);
  }

  TemporaryFolder folder_;
  std::vector<pid_t> processes_;
};

inline cluster::Candidate candidate(unsigned index) {
  cluster::Candidate one;
  one.name = *ServerName::parse(fmt::format("m{}", index));
  one.number = ServerNumber{static_cast<std::uint16_t>(5000 + index)};
  one.address = {"127.0.0.1", number(one.number)};
  one.started = std::chrono::milliseconds(1000 + index);
  return one;
}

// A process with metaservers: while its loop does not run, it stands still.
class Process {
 public:
  struct Metaserver {
    std::unique_ptr<Engine> engine;
    std::vector<cluster::MastershipEvent> events;
    template <typename Event>
    std::size_t count() const {
      return static_cast<std::size_t>(std::count_if(events.begin(), events.end(), [](auto& one) {
        return std::holds_alternative<Event>(one);
      }));
    }
    template <typename Event>
    const Event* last() const {
      for (auto one = events.rbegin(); one != events.rend(); ++one) {
        if (const auto* event = std::get_if<Event>(&*one)) return event;
      }
      return nullptr;
    }
  };

  Process() : loop(std::move(*net::EventLoop::create())) {
    loop->setTick(
        [this] {
          if (isDone_ && isDone_()) loop->stop();
          TimePoint at = end_;
          for (const auto& one : servers) {
            if (one->engine) at = std::min(at, one->engine->deadline());
          }
          return at;
        },
        [this](TimePoint now) {
          for (const auto& one : servers) {
            if (one->engine) one->engine->tick(now);
          }
          if (now >= end_) loop->stop();
        });
  }
  ~Process() { servers.clear(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  Metaserver& add(unsigned index, const std::vector<std::string>& urls,
                  const std::string& caFile = {}) {
    auto& one = *servers.emplace_back(std::make_unique<Metaserver>());
    auto engine = Engine::start({{urls, caFile}, candidate(index), {}, "/espalier/"}, *loop,
                                [&one](const auto& event) { one.events.push_back(event); });
    REQUIRE_MESSAGE(engine.ok(), engine.error().message);
    one.engine = *std::move(engine);
    return one;
  }
  // Runs until the condition holds; false if it does not within that time.
  bool runUntil(const std::function<bool()>& condition, Duration patience = 20s) {
    isDone_ = condition;
    end_ = Clock::now() + patience;
    loop->run();
    isDone_ = nullptr;
    return condition();
  }
  void run(Duration time) {
    runUntil([] { return false; }, time);
  }
  Metaserver* master() {
    for (const auto& one : servers) {
      if (one->engine && one->engine->isMaster()) return one.get();
    }
    return nullptr;
  }

  std::unique_ptr<net::EventLoop> loop;
  std::vector<std::unique_ptr<Metaserver>> servers;

 private:
  std::function<bool()> isDone_;
  TimePoint end_ = kNever;
};

// A request of the test's own, at once: the answer's JSON.
inline nlohmann::json call(const std::string& url, const std::string& path,
                           const nlohmann::json& body, const std::string& caFile = {}) {
  const net::Interrupter interrupter;
  const auto parsed = parseUrl(url);
  REQUIRE(parsed);
  TlsContext tls;
  if (parsed->isSecure) tls = *makeTlsContext(caFile);
  HttpConnection connection(*parsed, tls, interrupter);
  const auto reply = connection.post({path, body.dump(), "", 5s});
  REQUIRE_MESSAGE(reply.ok(), reply.error().message);
  return nlohmann::json::parse(reply->body, nullptr, false);
}

}  // namespace espalier::metaserver::etcd::test
