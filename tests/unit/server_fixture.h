// A metaserver's Server on loopback, with its loop on a thread and its files in a temporary folder;
// and a client with the session of a peer.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "common/base/fs.h"
#include "common/base/random.h"
#include "common/net/blocking_stream.h"
#include "common/net/handshake.h"
#include "common/wire/frame.h"
#include "common/wire/registry_codec.h"
#include "metaserver/shell/server.h"

namespace espalier::metaserver::shell::test {

inline wire::Join joinOf(const std::string& id, const std::string& word = "P2P") {
  wire::Join join;
  join.id = *PeerId::parse(id);
  join.key = randomFromKernel<InstanceKey>();
  join.word = word;
  return join;
}

class RunningServer {
 public:
  explicit RunningServer(std::uint16_t firstPort = MetaserverOptions().firstPort)
      : loop_(std::move(*net::EventLoop::create())) {
    std::string name = "/tmp/espalier-server-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
    MetaserverOptions options;
    options.listen = {"127.0.0.1", 0};
    options.topoFile = folder_ + "/topo.txt";
    options.countFile = folder_ + "/count.txt";
    options.state = folder_;
    options.firstPort = firstPort;
    auto bound = Server::bind(*loop_, options);
    REQUIRE(bound.ok());
    server_ = std::move(*bound);
    REQUIRE(server_->open().ok());
    thread_ = std::jthread([this] { loop_->run(); });
  }
  ~RunningServer() { stop(); }
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  Server& server() { return *server_; }
  Endpoint address() const { return server_->address(); }
  void stop() {
    if (!thread_.joinable()) return;
    loop_->stop();
    thread_.join();
    server_.reset();
    loop_.reset();  // closes the sessions
    fs::remove_all(folder_);
  }
  // Waits until the topology has that number of members.
  std::size_t members(std::size_t wanted) {
    const auto end = Clock::now() + std::chrono::seconds(30);
    std::size_t count = 0;
    do {
      count = server_->topology({})->peers.size();
      if (count != wanted) std::this_thread::yield();
    } while (count != wanted && Clock::now() < end);
    return count;
  }

 private:
  std::string folder_;
  std::unique_ptr<net::EventLoop> loop_;
  std::unique_ptr<Server> server_;
  std::jthread thread_;
};

// One connection to a listener, which reads and writes frames.
class Session {
 public:
  Session(const Endpoint& to, wire::Purpose purpose)
      : stream_(*net::dialBlocking(to, std::chrono::seconds(10), never()), std::chrono::seconds(30),
                never()) {
    REQUIRE(stream_.write(net::helloFrame(purpose)).ok());
  }

  Result<void> welcomed() { return net::readWelcome(hear()); }
  void say(const wire::RegistryRequest& request) { sayFrame(wire::encode(request)); }
  void sayFrame(std::string_view payload) {
    std::string frame;
    wire::appendFrame(payload, frame);
    REQUIRE(stream_.write(frame).ok());
  }
  // The next frame; empty at the end.
  std::string hear() {
    while (true) {
      auto frame = reader_.next();
      REQUIRE(frame.ok());
      if (*frame) return std::string(**frame);
      std::array<std::byte, 4096> buffer;
      const auto got = stream_.read(buffer);
      if (!got) return {};
      reader_.append({reinterpret_cast<const char*>(buffer.data()), *got});
    }
  }
  template <typename Reply>
  Reply reply() {
    const auto decoded = wire::decodeRegistryReply(hear());
    REQUIRE(decoded.ok());
    REQUIRE(std::holds_alternative<Reply>(*decoded));
    return std::get<Reply>(*decoded);
  }

 private:
  static const net::Interrupter& never() {
    static const net::Interrupter interrupter;
    return interrupter;
  }

  net::BlockingStream stream_;
  wire::FrameReader reader_;
};

}  // namespace espalier::metaserver::shell::test
