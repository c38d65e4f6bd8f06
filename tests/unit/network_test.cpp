// Network, which connects a peer's core with sockets, over loopback: against a real Server, and
// against ends that misbehave.
#include "peer/shell/network.h"

#include <doctest/doctest.h>

#include <array>
#include <condition_variable>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/server_fixture.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::shell;
using metaserver::shell::test::RunningServer;
using metaserver::shell::test::Session;
using namespace std::chrono_literals;
using wire::Purpose;

namespace {

// A Network whose loop runs on a thread, and what it has told its observer and its handler.
class RunningNetwork : private NetworkObserver, private PeerHandler {
 public:
  explicit RunningNetwork(const Endpoint& metaserver)
      : loop_(std::move(*net::EventLoop::create())),
        network_(*loop_, optionsFor(metaserver), *this),
        thread_([this] {
          loop_->run();
          network_.end();
        }),
        attachment_(network_, *this) {}
  ~RunningNetwork() override { leave(); }
  RunningNetwork(const RunningNetwork&) = delete;
  RunningNetwork& operator=(const RunningNetwork&) = delete;

  Network& network() { return network_; }
  void leave() {
    if (!thread_.joinable()) return;
    network_.leave();
    thread_.join();
  }
  void join(const std::string& id) {
    network_.post([id](Peer& peer, TimePoint now, Effects& fx) {
      peer.join(*PeerId::parse(id), randomFromKernel<InstanceKey>(), "P2P", now, fx);
    });
  }
  // The text of the first notice of that kind.
  std::string await(Notice::Kind kind) {
    std::unique_lock lock(mutex_);
    const Notice* found = nullptr;
    const bool came = changed_.wait_for(lock, 30s, [&] {
      for (const auto& notice : notices_) {
        if (notice.kind == kind) found = &notice;
      }
      return found != nullptr;
    });
    REQUIRE(came);
    return found->text;
  }
  std::pair<std::unique_ptr<net::ByteStream>, Purpose> awaitStream() {
    std::unique_lock lock(mutex_);
    REQUIRE(changed_.wait_for(lock, 30s, [&] { return !streams_.empty(); }));
    auto first = std::move(streams_.front());
    streams_.erase(streams_.begin());
    return first;
  }
  // Where it listens, once it has joined.
  Endpoint address() {
    const auto self = network_.call(
        [](Peer& peer, TimePoint, Effects&) { return peer.membership().tree()->self().endpoint; });
    REQUIRE(self.ok());
    return *self;
  }
  Result<wire::RegistryReply> ask(wire::RegistryRequest request) {
    std::promise<Result<wire::RegistryReply>> promise;
    network_.post([&](Peer&, TimePoint now, Effects& fx) {
      network_.ask(
          request, [&](Result<wire::RegistryReply> reply) { promise.set_value(std::move(reply)); },
          now, fx);
    });
    return promise.get_future().get();
  }

 private:
  static Membership::Options optionsFor(const Endpoint& metaserver) {
    Membership::Options options;
    options.metaservers = {metaserver};
    return options;
  }

  // --- NetworkObserver
  void notice(const Notice& notice) override {
    const std::lock_guard lock(mutex_);
    notices_.push_back(notice);
    changed_.notify_all();
  }
  void pushChanged(const PushId&) override {}
  void stepped(const Peer&) override {}

  // --- PeerHandler
  void renamed(const PeerId&) override {}
  void match(const MatchJob& job) override { network_.matched(job.id, {}, 0, false); }
  void searched(SearchUpdate&) override {}
  void carryOut(PushJob&) override {}
  void keep(PrivateWrite&) override {}
  void told(PrivateUpdate&) override {}
  void roomsChanged(RoomViewsEffects&) override {}
  void serve(std::unique_ptr<net::ByteStream> stream, const wire::Hello& hello) override {
    const std::lock_guard lock(mutex_);
    streams_.emplace_back(std::move(stream), hello.purpose);
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Notice> notices_;
  std::vector<std::pair<std::unique_ptr<net::ByteStream>, Purpose>> streams_;
  std::unique_ptr<net::EventLoop> loop_;
  Network network_;
  std::jthread thread_;
  Network::Attachment attachment_;
};

}  // namespace

TEST_CASE("two peers join through a metaserver, link, and stand in its topology") {
  RunningServer metaserver;
  RunningNetwork first(metaserver.address());
  first.join("s1");
  first.await(Notice::Kind::joined);
  RunningNetwork second(metaserver.address());
  second.join("s2");
  second.await(Notice::Kind::joined);
  first.await(Notice::Kind::linkUp);
  second.await(Notice::Kind::linkUp);
  CHECK(metaserver.members(2) == 2);
  const auto members = second.ask(wire::MembersRequest{});
  REQUIRE(members.ok());
  CHECK(std::get<wire::Members>(*members).count == 2);
  second.leave();
  first.await(Notice::Kind::linkDown);
  CHECK(metaserver.members(1) == 1);
}

TEST_CASE("an answer goes to the command whose request has its number, once; the rest fail") {
  PendingAnswers pending;
  std::vector<std::string> told;
  std::uint64_t number = 0;
  const auto add = [&](const wire::RegistryRequest& request, const std::string& name) {
    pending.add(++number, request, [&told, name](const Result<wire::RegistryReply>& reply) {
      told.push_back(name + (reply ? " answered" : " failed"));
    });
  };
  add(wire::TopologyRequest{}, "t1");
  add(wire::MembersRequest{}, "m2");
  add(wire::TopologyRequest{}, "t3");
  add(wire::TopologyRequest{}, "t4");
  pending.answer(3, wire::Topology{});
  pending.answer(2, wire::Members{});
  pending.answer(2, wire::Members{});   // it is answered already
  pending.answer(7, wire::Topology{});  // nobody asked for it
  pending.answer(4, wire::Members{});   // it is of another kind
  pending.failAll({ErrorCode::unavailable, "gone"});
  pending.answer(1, wire::Topology{});
  CHECK(told == std::vector<std::string>{"t3 answered", "m2 answered", "t4 failed", "t1 failed"});
  for (std::size_t i = 0; i < limits::kPendingAnswers; ++i) {
    REQUIRE(pending.hasRoomFor(wire::TopologyRequest{}));
    add(wire::TopologyRequest{}, "more");
  }
  CHECK_FALSE(pending.hasRoomFor(wire::TopologyRequest{}));
  CHECK(pending.hasRoomFor(wire::MembersRequest{}));
}

TEST_CASE("a page of the topology that does not follow the order that was asked for is an error") {
  const auto entryOf = [](std::uint64_t order) {
    return wire::TopologyEntry{
        {*PeerId::parse("s1"), JoinOrder{order}, {"10.0.0.1", 5001}}, {}, {}};
  };
  const auto outcome = [&](JoinOrder after, std::vector<wire::TopologyEntry> entries) {
    PendingAnswers pending;
    bool good = false;
    pending.add(1, wire::TopologyRequest{after},
                [&](const Result<wire::RegistryReply>& reply) { good = reply.ok(); });
    pending.answer(1, wire::Topology{std::move(entries), false, 1});
    return good;
  };
  CHECK(outcome(JoinOrder{4}, {entryOf(5), entryOf(9)}));
  CHECK_FALSE(outcome(JoinOrder{5}, {entryOf(5), entryOf(9)}));
  CHECK_FALSE(outcome(kNoOrder, {entryOf(5), entryOf(5)}));
  CHECK_FALSE(outcome(kNoOrder, {entryOf(5), entryOf(4)}));
}

TEST_CASE("a metaserver is found by its name") {
  RunningServer metaserver;
  RunningNetwork network({"localhost", metaserver.address().port});
  network.join("s1");
  network.await(Notice::Kind::joined);
}

TEST_CASE("a missing metaserver is reported, and requests to it fail at once") {
  Endpoint gone;
  {
    RunningServer metaserver;
    gone = metaserver.address();
  }
  RunningNetwork network(gone);
  network.network().post([](Peer& peer, TimePoint now, Effects& fx) { peer.connect(now, fx); });
  network.await(Notice::Kind::metaserverLost);
  const auto members = network.ask(wire::MembersRequest{});
  REQUIRE_FALSE(members.ok());
  CHECK(members.error().message == "the metaserver is out of reach");
}

TEST_CASE("answers that are waited for fail when the metaserver goes") {
  RunningServer metaserver;
  RunningNetwork network(metaserver.address());
  network.join("s1");
  network.await(Notice::Kind::joined);
  metaserver.stop();
  network.await(Notice::Kind::metaserverLost);
  CHECK_FALSE(network.ask(wire::TopologyRequest{}).ok());
}

TEST_CASE("another peer in the metaserver's place is told as that") {
  RunningServer metaserver;
  RunningNetwork other(metaserver.address());
  other.join("s1");
  other.await(Notice::Kind::joined);
  RunningNetwork network(other.address());
  network.join("s2");
  const auto text = network.await(Notice::Kind::mismatch);
  CHECK(text.find("this is a peer, not a metaserver") != std::string::npos);
}

TEST_CASE("a connection for a transfer or a push goes to its owner, with the bytes after Hello") {
  RunningServer metaserver;
  RunningNetwork network(metaserver.address());
  network.join("s1");
  network.await(Notice::Kind::joined);
  const net::Interrupter never;
  for (const auto purpose : {Purpose::transfer, Purpose::push}) {
    net::BlockingStream asker(*net::dialBlocking(network.address(), 10s, never), 10s, never);
    REQUIRE(asker.write(net::helloFrame(purpose) + "request").ok());
    auto [stream, said] = network.awaitStream();
    CHECK(said == purpose);
    net::BlockingStream server(std::move(stream), 10s, never);
    std::array<std::byte, 7> request;
    REQUIRE(server.readAll(request).ok());
    REQUIRE(server.write("answer").ok());
    std::array<std::byte, 6> answer;
    CHECK(asker.readAll(answer).ok());
  }
}

TEST_CASE("an asker for the registry, noise, and a link that sends noise are turned away") {
  RunningServer metaserver;
  RunningNetwork network(metaserver.address());
  network.join("s1");
  network.await(Notice::Kind::joined);
  Session registry(network.address(), Purpose::registry);
  const auto refused = registry.welcomed();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message == "this is a peer, not a metaserver");
  CHECK(registry.hear().empty());
  Session link(network.address(), Purpose::link);
  REQUIRE(link.welcomed().ok());
  link.sayFrame("\xff\xff noise");
  CHECK(link.hear().empty());
  CHECK(network.ask(wire::MembersRequest{}).ok());
}

TEST_CASE("a peer that leaves is through in time, and calls after that are interrupted") {
  RunningServer metaserver;
  RunningNetwork network(metaserver.address());
  network.join("s1");
  network.await(Notice::Kind::joined);
  const TimePoint begun = Clock::now();
  network.leave();
  CHECK(Clock::now() - begun < 20s);
  const auto late = network.network().call([](Peer&, TimePoint, Effects&) { return 1; });
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().code == ErrorCode::interrupted);
  CHECK(metaserver.members(0) == 0);
}
