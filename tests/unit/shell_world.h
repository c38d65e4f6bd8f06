// A whole network in one process for the tests of the peer's shell: a metaserver and peers on
// loopback, each with an event loop on a thread, in temporary folders.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "common/base/fs.h"
#include "common/base/log.h"
#include "metaserver/shell/server.h"
#include "peer/shell/joiner.h"
#include "tests/unit/transfer_fixture.h"

namespace espalier::test {

using namespace std::chrono_literals;
using peer::shell::EventBus;
using peer::shell::kindsOf;

// Longer than any step takes, also on a busy machine. Only a failing test waits so long.
constexpr auto kPatience = 60s;

class World {
 public:
  World() {
    std::signal(SIGPIPE, SIG_IGN);
    log::setLevel(log::Level::error);
  }
  fs::path operator/(const std::string& name) const { return folder_ / name; }

 private:
  transfer::test::TemporaryFolder folder_;
};

class TestMetaserver {
 public:
  explicit TestMetaserver(const World& world) {
    metaserver::shell::MetaserverOptions options;
    options.listen.port = 0;
    // Below the ports that the kernel gives out. A taken port is skipped.
    options.firstPort = static_cast<std::uint16_t>(10'000 + ::getpid() % 20'000);
    options.topoFile = (world / "topo.txt").string();
    options.countFile = (world / "count.txt").string();
    options.state = (world / "metaserver").string();
    fs::create_directories(options.state);
    loop_ = std::move(*net::EventLoop::create());
    auto server = metaserver::shell::Server::bind(*loop_, options);
    REQUIRE(server);
    server_ = std::move(*server);
    REQUIRE(server_->open());
    at_ = server_->address();
    thread_ = std::jthread([this] { loop_->run(); });
  }
  ~TestMetaserver() { end(); }

  const Endpoint& at() const { return at_; }
  void end() {
    if (!thread_.joinable()) return;
    loop_->stop();
    thread_.join();
    server_.reset();
    loop_.reset();  // closes the connections
  }

 private:
  std::unique_ptr<net::EventLoop> loop_;
  std::unique_ptr<metaserver::shell::Server> server_;
  Endpoint at_;
  std::jthread thread_;
};

// The objects that main() builds, without prompt and signals.
class TestPeer {
 public:
  using End = peer::shell::JoinAttempt::End;
  using Policy = peer::PushPolicy::From;

  TestPeer(const World& world, const Endpoint& metaserver, const std::string& folder,
           Policy acceptPush = Policy::none)
      : share_(world / folder),
        loop_(std::move(*net::EventLoop::create())),
        options_(optionsFor(metaserver, share_, acceptPush)),
        runtime_(*loop_, options_),
        store_(runtime_),
        topology_(runtime_, store_),
        joiner_(runtime_, store_, topology_, options_, [] {}) {
    REQUIRE(runtime_.start());
  }
  ~TestPeer() { joiner_.leave(); }

  peer::shell::JoinAttempt tryToJoin(const std::string& id, const std::string& word = "P2P") {
    return joiner_.join(*PeerId::parse(id), word, {});
  }
  void join(const std::string& id) {
    const auto attempt = tryToJoin(id);
    INFO(attempt.error.message);
    REQUIRE(attempt.end == End::joined);
  }
  void leave() { joiner_.leave(); }

  void put(const std::string& name, const std::string& content) const {
    const fs::path path = share_ / name;
    fs::create_directories(path.parent_path());
    transfer::test::writeFile(path, content);
  }
  std::string content(const std::string& name) const {
    return transfer::test::readFile(share_ / name);
  }
  const fs::path& share() const { return share_; }

  peer::shell::Services services() { return joiner_.peer()->services(); }
  peer::shell::Joiner& joiner() { return joiner_; }
  peer::shell::NetworkTopology& topology() { return topology_; }
  EventBus& events() { return runtime_.events(); }

  // The file that the search finds; exactly one.
  peer::FoundFile find(const std::string& name) {
    const auto found = services().search.find({std::nullopt, name}, {}, {});
    REQUIRE(found);
    REQUIRE(found->files.size() == 1);
    return found->files.front();
  }

 private:
  static peer::shell::PeerOptions optionsFor(const Endpoint& metaserver, const fs::path& share,
                                             Policy acceptPush) {
    peer::shell::PeerOptions options;
    options.metaservers = {metaserver};
    options.given.share = share.string();
    options.acceptPush.from = acceptPush;
    return options;
  }

  const fs::path share_;
  std::unique_ptr<net::EventLoop> loop_;
  const peer::shell::PeerOptions options_;
  peer::shell::Runtime runtime_;
  peer::shell::TopologyStore store_;
  peer::shell::NetworkTopology topology_;
  peer::shell::Joiner joiner_;
};

}  // namespace espalier::test
